"""A digest of the code of a step and of the software that it uses.

Snakemake sees only the time of a script, not the modules that it imports. Every rule therefore
has this digest among its parameters (`params: code=...`), and reruns exactly when it changes.
The digest covers the code that the script imports, at any depth, and the pins in envs/ that the
rule uses. Comments, docstrings, layout and the order of functions do not change it.

The engine runs every step, and most of it does not change what a step computes. A digest
therefore holds the engine's version instead of its code; see version.py.
"""

import ast
import functools
import hashlib
import json
from collections import defaultdict
from pathlib import Path

from specialist.engine.known_code import KnownCode, state
from specialist.engine.version import VERSION

SCRIPTS = Path(__file__).resolve().parents[2]
ENVS = SCRIPTS.parents[1] / "envs"
ENGINE = Path("specialist", "engine")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def digest(script, *envs):
    """A rule's `code`: a hexadecimal digest, and the arguments of `parts` after it.

    Args:
        script: path below workflow/scripts/.
        envs: names of files in envs/, without ".txt".
    """
    text = json.dumps(parts(script, *envs), sort_keys=True)
    return " ".join([hashlib.sha256(text.encode()).hexdigest()[:16], script, *envs])


digest_once = functools.cache(digest)  # for a rule that asks again for each job


def parts(script, *envs):
    """The named pieces that the digest is made from, to explain a change.

    Returns:
        {file: {piece: digest of its code}} of the script and everything that it imports from
        workflow/scripts/ (a piece is, for example, "function pack"); {file of envs/: {package:
        version}}; and {"engine": {"version": number}}.
    """
    code = {path.as_posix(): _read(path)[0] for path in _imported(script)}
    pins = {f"envs/{env}.txt": _pins(env) for env in envs}
    return code | pins | {"engine": {"version": VERSION}}


def sources(*scripts):
    """Paths below workflow/scripts/ of scripts and everything that they import there, sorted.

    Without the engine: a release runs no steps.
    """
    return sorted({path.as_posix() for script in scripts for path in _imported(script)})


@functools.cache
def known():
    """What was found in modules at other starts; its `save` keeps what this one found."""
    return KnownCode(__file__)


@functools.cache
def _imported(script):
    """Paths of a script and everything that it imports, at any depth, without the engine."""
    start = Path(script)
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, start.parent)
    return sorted(found)


@functools.cache
def _imports(path, beside):
    """Files that the imports of a module run, without the engine.

    Args:
        beside: folder of the script, which Python searches first.
    """
    found = set()
    for name in _read(path)[1]:
        found.update(_files_of(name, beside) or _files_of(name, Path()))
    return [file for file in found if not file.is_relative_to(ENGINE)]


@functools.cache
def _files_of(name, base):
    """Files below a folder that an import of a dotted name runs: packages, and the module."""
    if name.partition(".")[0] not in _stems(base):
        return []
    path, found = base, []
    for part in name.split("."):
        path = path / part
        candidates = (path / "__init__.py", path.with_suffix(".py"))
        found += [file for file in candidates if (SCRIPTS / file).is_file()][:1]
        if not (SCRIPTS / path).is_dir():
            break
    return found


@functools.cache
def _stems(folder):
    """Names of what lies in a folder below workflow/scripts/, without endings."""
    return {path.stem for path in (SCRIPTS / folder).iterdir()}


@functools.cache
def _read(path):
    """(digests of a module's pieces without docstrings, dotted names that it imports)."""
    file = SCRIPTS / path
    if found := known().get(file):
        return found
    before = state(file)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = _absolute(node, path)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:] or [ast.Pass()]
    found = [_pieces(tree), sorted(names)]
    known().add(file, found, before)
    return found


def _absolute(node, path):
    """The dotted name of what a `from ... import` names, which may be relative."""
    if not node.level:
        return node.module
    package = path.parent.parts[: len(path.parent.parts) - node.level + 1]
    return ".".join([*package, *filter(None, [node.module])])


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
