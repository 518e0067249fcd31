"""Every command in the documents is one that the repository understands."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import toy_dataset

ROOT, BIN = Path(__file__).parents[2], Path(sys.executable).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OVERLAYS = {}  # files that a page shows, such as my-shop.yaml: name -> text
SKIPPED = "not runnable here"  # the mark in a page, with the reason
FIRST = ("snakemake", "make", "python")


def blocks(page):
    """The indented blocks of a page: (number of the first line, lines)."""
    found, start = [], 0
    for number, line in enumerate([*page.read_text(encoding="utf-8").splitlines(), ""], 1):
        if line.startswith("    "):
            start = start or number
            found.append(line[4:])
        elif found:
            yield start, found
            found, start = [], 0


def commands():
    """(place, command) of each command of all pages, without those that a page marks.

    The mark stands in the line, or in a comment before it.
    """
    for page in PAGES:
        for start, lines in blocks(page):
            if named := re.fullmatch(r"# (\S+\.yaml)", lines[0]):
                OVERLAYS[named[1]] = "\n".join(lines)
            text = "\n".join(lines).replace("\\\n", "  ")
            before = ""
            for offset, line in enumerate(text.split("\n")):
                if line.split(" ")[0] in FIRST and SKIPPED not in before + line:
                    yield f"{page.relative_to(ROOT)}:{start + offset}", line
                before = line if line.startswith("#") else ""


FOUND = {line: place for place, line in reversed(list(commands()))}  # each command once


def test_pages_have_commands():
    assert len(FOUND) > 15
    assert {line.split()[0] for line in FOUND} == set(FIRST)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Overlays that the pages show, with a dataset where they name data/my-shop."""
    folder = tmp_path_factory.mktemp("docs")
    toy_dataset.simulate(folder / "my-shop", documents=40, episodes=29, tasks=29)
    (folder / "my-shop" / "tickets").mkdir()
    (folder / "my-shop" / "tickets" / "a.txt").write_text("Where is my order?")
    for name, text in OVERLAYS.items():
        assert isinstance(yaml.safe_load(text), dict)
        text = text.replace("data/my-shop", str(folder / "my-shop"))
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("line, place", FOUND.items(), ids=FOUND.values())
def test_command_is_understood(line, place, shop):
    """Snakemake plans it, make knows the target, the script shows its options."""
    words = shlex.split(line, comments=True)
    words = [str(shop / word) if word in OVERLAYS else word for word in words]
    if words[0] == "make":
        command = ["make", "--dry-run", *words[1:]]
    elif words[0] == "python":
        command = [sys.executable, str(script(words[1])), "--help"]
    else:
        command = [str(BIN / "snakemake"), "--dry-run", "--quiet", "all", *words[1:]]
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert run.returncode == 0, f"{place}: {line}\n{run.stdout[-1500:]}{run.stderr[-1500:]}"


def script(name):
    """The source of a script that a page runs, in the repository or in a release."""
    release = ROOT / "workflow/scripts/release"
    places = [ROOT / name, release / name, release / name.replace(".", "_release.", 1)]
    return next(path for path in places if path.exists())
