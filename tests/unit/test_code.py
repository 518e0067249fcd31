"""The digest of a step's code: what changes it, and in which piece the change is told."""

import ast

import pytest

from specialist.engine import digest as code
from specialist.engine import known_code
from specialist.engine.changes import code as differences

SCRIPT = '''"""A script."""

from specialist.core.text import pack

LIMIT = 3


class Box:
    """A box."""

    size = 1

    def fill(self):
        return pack(LIMIT)


def step(source):
    """Do it."""
    return Box().fill()
'''
SHARED = '''"""Texts."""


def pack(number):
    return number


def unpack(text):
    return text
'''


def forget():
    """Let the digests be computed again from the files."""
    for function in vars(code).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that writes a file of a project of two modules and one concern."""

    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        forget()

    monkeypatch.setattr(code, "SCRIPTS", tmp_path / "scripts")
    monkeypatch.setattr(code, "ENVS", tmp_path / "envs")
    write("scripts/step.py", SCRIPT)
    write("scripts/specialist/core/text.py", SHARED)
    write("envs/train.txt", "torch==2.12.0  # tensors\nnumpy==2.0\n")
    yield write
    forget()


def change(project, name, text):
    """(whether the digest changed, the texts that tell what changed)"""
    before = code.digest("step.py", "train"), code.parts("step.py", "train")
    project(name, text)
    after = code.digest("step.py", "train"), code.parts("step.py", "train")
    return before[0] != after[0], differences(before[1], after[1])


SAME = {
    "docstring": ("scripts/step.py", SCRIPT.replace('"""Do it."""', '"""Do all of it."""')),
    "no docstring": ("scripts/step.py", SCRIPT.replace('    """Do it."""\n', "")),
    "comment": ("scripts/step.py", SCRIPT.replace("LIMIT = 3", "LIMIT = 3  # at most")),
    "order of functions": (
        "scripts/specialist/core/text.py",
        "def unpack(text):\n    return text\n\n\ndef pack(number):\n    return number\n",
    ),
    "comment in pins": ("envs/train.txt", "torch==2.12.0\nnumpy==2.0\n"),
}
CHANGES = {
    "function": (
        "scripts/specialist/core/text.py",
        SHARED.replace("return number", "return str(number)"),
        ["specialist/core/text.py: function pack changed"],
    ),
    "another function": (
        "scripts/specialist/core/text.py",
        SHARED + "\n\nasync def send():\n    pass\n",
        ["specialist/core/text.py: function send is new"],
    ),
    "method": (
        "scripts/step.py",
        SCRIPT.replace("pack(LIMIT)", "pack(LIMIT + 1)"),
        ["step.py: method Box.fill changed"],
    ),
    "attribute of a class": (
        "scripts/step.py",
        SCRIPT.replace("size = 1", "size = 2"),
        ["step.py: class Box changed"],
    ),
    "constant": (
        "scripts/step.py",
        SCRIPT.replace("LIMIT = 3", "LIMIT = 4"),
        ["step.py: constant LIMIT changed"],
    ),
    "import": (
        "scripts/step.py",
        SCRIPT.replace("from specialist.core.text import pack", "pack = str"),
        [
            "specialist/core/text.py is gone",
            "step.py: constant pack is new, imports is gone",
        ],
    ),
    "pin": (
        "envs/train.txt",
        "torch==2.13.0\npeft==0.21.2\n",
        [
            "envs/train.txt: numpy 2.0 is gone",
            "envs/train.txt: peft 0.21.2 is new",
            "envs/train.txt: torch 2.12.0 -> 2.13.0",
        ],
    ),
}


@pytest.mark.parametrize(("name", "text"), SAME.values(), ids=SAME)
def test_same_code(project, name, text):
    assert change(project, name, text) == (False, [])


@pytest.mark.parametrize(("name", "text", "told"), CHANGES.values(), ids=CHANGES)
def test_other_code(project, name, text, told):
    assert change(project, name, text) == (True, told)


def test_digest_says_what_it_is_of(project):
    value, *asked = code.digest("step.py", "train").split()
    assert len(value) == 16 and asked == ["step.py", "train"]


IMPORTS = {
    "relative": "from .core import text",
    "relative, of a name": "from .core.text import pack",
    "plain": "import specialist.core.text",
    "within a function": "def late():\n    from specialist.core.text import pack",
}


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_packages_on_the_way_are_part_of_the_code(project, statement):
    project("scripts/specialist/__init__.py", "")
    project("scripts/specialist/core/__init__.py", "WIDTH = 1\n")
    project("scripts/specialist/other.py", f"{statement}\n")
    project("scripts/step.py", "from specialist.other import text\n")
    assert set(code.parts("step.py")) == {
        "step.py", "specialist/__init__.py", "specialist/core/__init__.py",
        "specialist/core/text.py", "specialist/other.py", "engine",
    }  # fmt: skip
    changed, told = change(project, "scripts/specialist/core/__init__.py", "WIDTH = 2\n")
    assert (changed, told) == (True, ["specialist/core/__init__.py: constant WIDTH changed"])


def test_engine_counts_by_its_version(project, monkeypatch):
    project("scripts/specialist/engine/run.py", "from specialist.core.text import unpack\n")
    project("scripts/step.py", "from specialist.engine.run import run\n")
    changed, told = change(project, "scripts/specialist/engine/run.py", "run = 2\n")
    assert (changed, told) == (False, [])
    before = code.parts("step.py")
    monkeypatch.setattr(code, "VERSION", code.VERSION + 1)
    assert before != code.parts("step.py")


def test_script_beside_the_script_comes_first(project):
    project("scripts/index/helper.py", "A = 1\n")
    project("scripts/index/step.py", "import helper\n")
    assert set(code.parts("index/step.py")) == {"index/step.py", "index/helper.py", "engine"}


def test_no_script_imports_a_script_of_another_folder(pytestconfig):
    """Under Snakemake only the package and the script's own folder can be imported."""
    scripts = pytestconfig.rootpath / "workflow/scripts"
    own = {path.stem: path for path in scripts.glob("*/*.py")}
    for path in own.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in own:
                assert own[node.module].parent == path.parent, f"{path} imports {node.module}"


def test_what_was_found_is_kept_for_the_next_start(project, tmp_path, monkeypatch):
    """A file is read again if it changed, or if it could have changed unnoticed."""
    monkeypatch.chdir(tmp_path)
    before, reading = code.digest("step.py", "train"), []
    monkeypatch.setattr(
        ast, "parse", lambda text, parse=ast.parse: reading.append(1) or parse(text)
    )
    code.known().save()
    assert not known_code.PATH.exists()  # the files were written a moment ago
    monkeypatch.setattr(known_code, "SETTLED", -60)
    forget()
    assert code.digest("step.py", "train") == before and len(reading) == 2
    code.known().save()
    forget()
    assert code.digest("step.py", "train") == before and len(reading) == 2
    project("scripts/specialist/core/text.py", SHARED.replace("return number", "return -number"))
    assert code.digest("step.py", "train") != before and len(reading) == 3
    for damage in (
        "",
        "[]",
        '{"reader": 1}',
        known_code.PATH.read_text().replace('"reader": "', '"reader": "0'),
    ):
        known_code.PATH.write_text(damage)
        project("scripts/specialist/core/text.py", SHARED)
        reading.clear()
        assert code.digest("step.py", "train") == before and len(reading) == 2
