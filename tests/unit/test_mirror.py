"""Paths of files in a storage, and sources that jobs on other machines get."""

import subprocess

import pytest

from specialist.core.errors import UserError
from specialist.engine import mirror

FILE = ".snakemake/storage/s3/bucket/run/results/data/results/a.json"


def test_paths_in_a_storage():
    assert mirror.mirror_of(FILE) == ".snakemake/storage/s3/bucket/run"
    assert mirror.inside(FILE) == "results/data/results/a.json"
    for path in ("results/data/a.json", "resources/results/a.json", "/usr/results/a.json"):
        assert mirror.mirror_of(path) is None
        assert mirror.inside(path) == path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("a")
    return tmp_path


def test_sources_need_a_repository(folder):
    with pytest.raises(UserError, match="is no git repository"):
        mirror.refuse_unknown_sources(["data/a.txt"])


def test_git_must_know_sources(folder):
    subprocess.run(["git", "init", "--quiet"], check=True)
    with pytest.raises(UserError, match="data/a.txt: git does not know"):
        mirror.refuse_unknown_sources([FILE, "/usr/elsewhere", "data/a.txt"])
    subprocess.run(["git", "add", "data"], check=True)
    mirror.refuse_unknown_sources([FILE, "/usr/elsewhere", "data/a.txt", "data"])


def test_large_sources_are_refused(folder, monkeypatch):
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "data"], check=True)
    monkeypatch.setattr(mirror, "LARGEST", 0)
    with pytest.raises(UserError, match="data/a.txt: larger than"):
        mirror.refuse_unknown_sources(["data/a.txt"])
