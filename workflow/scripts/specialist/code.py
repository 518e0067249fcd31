"""A digest of what a step computes with: its code, and the software of its concern.

Snakemake sees only the time of a script, and nothing of the modules it imports. So every
rule has this digest among its parameters (`params: code=...`), and reruns exactly when it
changes: by code that the script imports, at any depth, but by no comment, docstring or
layout; and by the pins in envs/ that the rule uses.
"""

import ast
import functools
import hashlib
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
ENVS = SCRIPTS.parents[1] / "envs"


def digest(script, *envs):
    """Hexadecimal digest of a script, all it imports from here, and files of envs/.

    Args:
        script: file name in workflow/scripts.
        envs: names of files in envs/, without ".txt".
    """
    found = {}
    _follow(SCRIPTS / script, found)
    parts = [f"{path.relative_to(SCRIPTS)}:{found[path]}" for path in sorted(found)]
    parts += [f"{env}:{_pins(env)}" for env in envs]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _follow(path, found):
    if path in found:
        return
    found[path], imports = _read(path)
    for module in imports:
        _follow(module, found)


@functools.cache
def _read(path):
    """(digest of a module's code without docstrings, paths of what it imports from here)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body[0] = ast.Pass()
    paths = (SCRIPTS.joinpath(*name.split(".")).with_suffix(".py") for name in modules)
    return ast.dump(tree), sorted(path for path in paths if path.is_file())


def _is_text(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@functools.cache
def _pins(env):
    lines = (ENVS / f"{env}.txt").read_text(encoding="utf-8").splitlines()
    return sorted(filter(None, (line.split("#")[0].strip() for line in lines)))
