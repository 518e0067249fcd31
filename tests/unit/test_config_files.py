"""Configuration files are data: no code runs, and mistakes that YAML hides are named by line."""

import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.common import configfile

from specialist.config import files
from specialist.core.errors import UserError
from specialist.engine.internals import read_configfiles_by

ROOT = Path(__file__).resolve().parents[2]
BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}, r: *a{i - 1}}}\n" for i in range(1, 40)
)
# content of a file, and what is said about it after its path
REFUSED = {
    "code": ("a: 1\n__use_yte__: true\n", ":2: __use_yte__: code in a configuration is not run"),
    "key twice": ("a: 1\nb: 2\na: 3\n", ":3: a: is given twice, first in line 1; remove one"),
    "inner key twice": ("a:\n  b: {c: 1, c: 2}\n", ":2: a.b.c: is given twice"),
    "in a list": ("a: [{c: 1, c: 2}]\n", ":1: a.0.c: is given twice"),
    "JSON": ('{"a": {"b": 1, "b": 2}}', ": b: is given twice"),
    "aliases": (BOMB, ":1: its aliases expand to more than 1000000 values"),
    "base 60": ("a: 1\nb: {c: 1:00}\n", ":2: found 1:00, which YAML reads as 60; write 60, or put"),
    "cycle": ("a: &a {b: *a}\n", ":1: an alias refers to itself"),
    "brackets": ("a: " + "[" * 100_000, ":1: is nested more than 100 levels deep"),
    "dashes": ("a:\n" + "- " * 5000 + "1\n", ":2: is nested more than 100 levels deep"),
    "tab": ("a:\n\tb: 1\n", ":2: this is not YAML: .*indent with spaces"),
    "list": ("[1, 2]\n", r": found \[1, 2\], expected keys"),
    "tag": ("a: !!python/object/apply:os.getcwd []\n", ":1: this is not YAML"),
    "not closed": ("a: {b: 1\n", ":2: this is not YAML"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"^{path}{message}"):
        files.read(path)


def test_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(UserError, match="gone.yaml: this file does not exist"):
        files.read(tmp_path / "gone.yaml")
    (tmp_path / "a.yaml").write_bytes(b"a: caf\xe9\n")
    with pytest.raises(UserError, match="a.yaml: byte 6 is not UTF-8"):
        files.read(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "text", ["{'a': &x {b: 1.0e-3}, c: *x}", "\ufeffa: {b: 0.001}\nc: {b: 0.001}"]
)
def test_data_is_read(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert files.read(path) == {"a": {"b": 0.001}, "c": {"b": 0.001}}


def test_json_and_empty_files_are_read(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"a": 1e-3}')
    assert files.read(path) == {"a": 0.001}
    path.write_text("# nothing\n")
    assert files.read(path) == {}


def test_snakemake_reads_by_it_once_guarded(tmp_path, monkeypatch):
    monkeypatch.setattr(configfile, "_load_configfile", configfile._load_configfile)
    given = [read_configfiles_by(files.read) for _ in range(2)]
    assert given == [False, True]
    path = tmp_path / "mine.yaml"
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(Exception, match="mine.yaml:2: a: is given twice"):
        configfile.load_configfile(path)


@pytest.mark.parametrize("profile", ["default", "gpu", "slurm"])
def test_code_of_an_overlay_is_not_run_even_before_the_snakefile(tmp_path, profile):
    trace, overlay = tmp_path / "ran", tmp_path / "mine.yaml"
    overlay.write_text(
        "__use_yte__: true\n__definitions__:\n"
        f"  - import pathlib; pathlib.Path({str(trace)!r}).touch()\n"
    )
    # Snakemake's own reading of its arguments, which is all that happens before the refusal.
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", overlay]
    command += ["--workflow-profile", f"profiles/{profile}", "--executor", "dryrun"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and not trace.exists()
    last = done.stdout.strip().splitlines()[-1]
    refused = f"Error: {overlay}:1: __use_yte__: code in a configuration is not run"
    assert last.startswith(refused), done.stdout
