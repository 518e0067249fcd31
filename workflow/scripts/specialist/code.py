"""A digest of what a step computes with: its code, and the software of its concern.

Snakemake sees only the time of a script, and nothing of the modules it imports. So every
rule has this digest among its parameters (`params: code=...`), and reruns exactly when it
changes: by code that the script imports, at any depth, but by no comment, docstring, layout
or order of functions; and by the pins in envs/ that the rule uses.
"""

import ast
import functools
import hashlib
import json
from collections import defaultdict
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
ENVS = SCRIPTS.parents[1] / "envs"
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def digest(script, *envs):
    """A rule's `code`: a hexadecimal digest, and behind it what `parts` is to be asked for.

    Args:
        script: file name in workflow/scripts.
        envs: names of files in envs/, without ".txt".
    """
    text = json.dumps(parts(script, *envs), sort_keys=True)
    return " ".join([hashlib.sha256(text.encode()).hexdigest()[:16], script, *envs])


def parts(script, *envs):
    """What the digest is made from, in pieces that have names, so that a change can be told.

    Returns:
        {file: {piece: digest of its code}} of the script and of all it imports from here, where
        a piece is, for example, "function pack"; and {file of envs/: {package: version}}.
    """
    found = {}
    _follow(SCRIPTS / script, found)
    code = {path.relative_to(SCRIPTS).as_posix(): pieces for path, pieces in found.items()}
    return code | {f"envs/{env}.txt": _pins(env) for env in envs}


def sources(*scripts):
    """Paths, relative to workflow/scripts/, of scripts and of all that they import from here."""
    found = {}
    for script in scripts:
        _follow(SCRIPTS / script, found)
    return sorted(path.relative_to(SCRIPTS).as_posix() for path in found)


def _follow(path, found):
    if path in found:
        return
    found[path], imports = _read(path)
    for module in imports:
        _follow(module, found)


@functools.cache
def _read(path):
    """(digests of a module's pieces without docstrings, paths of what it imports from here)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:] or [ast.Pass()]
    paths = (SCRIPTS.joinpath(*name.split(".")).with_suffix(".py") for name in modules)
    return _pieces(tree), sorted(path for path in paths if path.is_file())


def _is_text(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _pieces(tree):
    """{name of a piece: digest of its code}; what has no name of its own keeps its order."""
    code = defaultdict(list)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for child in filter(lambda child: isinstance(child, FUNCTION), node.body):
                code[f"method {node.name}.{child.name}"].append(ast.dump(child))
            node.body = [child for child in node.body if not isinstance(child, FUNCTION)]
        code[_name(node)].append(ast.dump(node))
    return {
        name: hashlib.sha256("\n".join(dumps).encode()).hexdigest()[:12]
        for name, dumps in code.items()
    }


def _name(node):
    if isinstance(node, FUNCTION):
        return f"function {node.name}"
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return f"constant {node.targets[0].id}"
    return "imports" if isinstance(node, (ast.Import, ast.ImportFrom)) else "top level"


@functools.cache
def _pins(env):
    """{package: version} that a file of envs/ asks for."""
    lines = (ENVS / f"{env}.txt").read_text(encoding="utf-8").splitlines()
    pins = filter(None, (line.split("#")[0].strip() for line in lines))
    return {name: version for name, _, version in (pin.partition("==") for pin in pins)}
