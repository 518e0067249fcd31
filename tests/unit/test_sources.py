"""A source is as new as its content: what replaced it counts, however old the file is."""

import json
import os

import pytest

from specialist.core.files import sha256
from specialist.engine.sources import notice_changes

OLD, NEW = 1_000_000_000, 2_000_000_000  # seconds since the epoch


@pytest.fixture
def article(tmp_path, monkeypatch):
    """A source of which a step made results/chunks.jsonl, and it results/index.npy."""
    monkeypatch.chdir(tmp_path)
    for made, source in (("chunks.jsonl", "article.md"), ("index.npy", "results/chunks.jsonl")):
        made = tmp_path / "results" / made
        made.parent.mkdir(exist_ok=True)
        for path in (tmp_path / source, made):
            path.write_text(path.name)
        names = {"inputs": source, "outputs": f"results/{made.name}"}
        record = {key: {name: sha256(name)} for key, name in names.items()}
        made.with_name(f"{made.name}.provenance.json").write_text(json.dumps(record))
        os.utime(made, (NEW, NEW))
    os.utime("article.md", (OLD, OLD))
    return tmp_path / "article.md"


def test_older_file_with_another_content_gets_a_new_time(article):
    article.write_text("other")
    os.utime(article, (OLD, OLD))
    notice_changes()
    assert article.stat().st_mtime > OLD


def test_what_is_unchanged_newer_made_or_gone_keeps_its_time(article):
    notice_changes()
    assert article.stat().st_mtime == OLD
    article.write_text("other")
    for time in (NEW + 1, NEW + 2):  # Snakemake sees this itself
        os.utime(article, (time, time))
        notice_changes()
        assert article.stat().st_mtime == time
    made = article.parent / "results/chunks.jsonl"
    made.write_text("edited by hand")
    os.utime(made, (OLD, OLD))
    notice_changes()
    assert made.stat().st_mtime == OLD
    article.unlink()
    notice_changes()
