"""A source is as new as its content: what replaced it counts, however old the file is."""

import json
import os
from types import SimpleNamespace

import pytest

from specialist.core.files import sha256
from specialist.engine import sources
from specialist.engine.keys import signatures
from specialist.engine.sources import outdated
from tiny_record import record

OLD, NEW = 1_000_000_000, 2_200_000_000  # seconds since the epoch; the second is in the future
CHUNKS, INDEX = "results/chunks.jsonl", "results/index.npy"
CHUNK, EMBED, ALL = (SimpleNamespace(name=name) for name in ("chunk", "embed", "all"))
JOBS = [
    SimpleNamespace(rule=CHUNK, input=["article.md"], output=[CHUNKS]),
    SimpleNamespace(rule=EMBED, input=[CHUNKS], output=[INDEX]),
    SimpleNamespace(rule=ALL, input=[INDEX], output=[]),
]


def write_record(job):
    made = record(
        job.rule.name,
        inputs={path: sha256(path) for path in job.input},
        outputs={path: sha256(path) for path in job.output},
        seen=signatures(job.input),
        bytes={path: os.path.getsize(path) for path in [*job.input, *job.output]},
    )
    with open(f"{job.output[0]}.provenance.json", "w") as file:
        json.dump(made, file)


@pytest.fixture
def article(tmp_path, monkeypatch):
    """A source of which a step made results/chunks.jsonl, and it results/index.npy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for path in ("article.md", CHUNKS, INDEX):
        (tmp_path / path).write_text(path)
        os.utime(path, (NEW, NEW))
    os.utime("article.md", (OLD, OLD))
    for job in JOBS[:2]:
        write_record(job)
        os.utime(f"{job.output[0]}.provenance.json", (NEW, NEW))
    return tmp_path / "article.md"


@pytest.mark.parametrize("time", [OLD, NEW])
def test_older_file_with_another_content_is_noticed_and_stays_as_it_is(article, time):
    article.write_text("other")
    os.utime(article, (time, time))
    assert outdated(JOBS) == [CHUNKS]
    assert article.stat().st_mtime == time


def test_what_another_rule_wrote_is_made_again(article, monkeypatch):
    assert outdated(JOBS) == []
    monkeypatch.setattr(EMBED, "name", "join")
    assert outdated(JOBS) == [INDEX]


def test_edited_file_is_noticed_where_everything_is_dated_in_the_future(article):
    os.utime(article, (NEW, NEW))
    write_record(JOBS[0])
    assert outdated(JOBS) == []
    article.write_text("other")  # dated now, long before what was made of it
    assert outdated(JOBS) == [CHUNKS]


def test_what_follows_is_noticed_after_a_kill_between_the_two_steps(article):
    os.utime(article, (NEW, NEW))
    article.write_text("other")
    (article.parent / CHUNKS).write_text("made of the other")
    write_record(JOBS[0])
    assert outdated(JOBS) == [INDEX]


def test_unchanged_newer_or_gone_is_none(article):
    assert outdated(JOBS) == []
    article.write_text("other")
    os.utime(article, (NEW + 1, NEW + 1))  # Snakemake sees this itself
    assert outdated(JOBS) == []
    article.unlink()
    assert outdated(JOBS) == []
    (article.parent / INDEX).unlink()
    assert outdated(JOBS) == []


def test_only_files_that_were_touched_are_read(article, monkeypatch):
    def read(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(sources, "sha256", read)
    assert outdated(JOBS) == []
    os.utime(article, (OLD + 1, OLD + 1))
    with pytest.raises(AssertionError, match="article.md was read"):
        outdated(JOBS)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"inputs": "article.md"}'])
def test_damaged_record_is_no_record(article, text):
    (article.parent / f"{CHUNKS}.provenance.json").write_text(text)
    article.write_text("other")
    os.utime(article, (OLD, OLD))
    assert outdated(JOBS) == []


@pytest.mark.parametrize("time", [OLD, NEW, NEW + 1])
def test_output_of_another_size_is_made_again_whatever_its_time(article, time, capsys):
    os.truncate(CHUNKS, 3)
    os.utime(CHUNKS, (time, time))
    assert outdated(JOBS) == [CHUNKS]
    told = f"{CHUNKS}: found 3 bytes, expected {len(CHUNKS)}; chunk writes it again\n"
    assert capsys.readouterr().err == told


def test_newer_output_is_read_and_made_again_if_it_has_another_content(article):
    os.utime(INDEX, (NEW + 1, NEW + 1))
    assert outdated(JOBS) == []
    with open(INDEX, "w") as file:
        file.write(INDEX.upper())
    os.utime(INDEX, (NEW + 1, NEW + 1))
    assert outdated(JOBS) == [INDEX]
