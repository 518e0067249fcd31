"""A step is known by the inputs that it read, so they must not change while it is at work."""

import json
import os
import resource
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import Namedlist

from specialist.core.errors import UserError
from specialist.core.files import copy as copy_file
from specialist.core.files import sha256
from specialist.core.places import beside
from specialist.engine import keys, step
from specialist.engine.cache import Cache
from tiny_record import record


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Function that does a step as Snakemake would, from source.txt to made.txt, with a cache."""

    monkeypatch.chdir(tmp_path)

    class Snakemake:
        rule, threads, params = "copy", 1, Namedlist(fromdict={"code": "0 agent/score.py"})
        input = Namedlist(fromdict={"source": str(tmp_path / "source.txt")})
        output = Namedlist(fromdict={"made": str(tmp_path / "made.txt")})
        wildcards, log = Namedlist(), [str(tmp_path / "log.txt")]
        resources = Namedlist(fromdict={"mem_mb": 1})
        config = {"cache": {"folder": tmp_path / "cache", "max_gb": 1}, "checkpoint_seconds": 60}

    (tmp_path / "source.txt").write_text("first")

    def run(function, **values):
        step.run(function, type("Snakemake", (Snakemake,), values))

    return run


def copy(source, made):
    made.write_text(source.read_text())


def test_input_that_changes_while_a_step_is_at_work_is_refused(job, tmp_path):
    def late(source, made):
        copy(source, made)
        source.write_text("other")
        os.utime(source, (1, 1))

    with pytest.raises(SystemExit):
        job(late)
    said = (tmp_path / "log.txt").read_text()
    assert f"{tmp_path / 'source.txt'}: changed while this step ran" in said
    assert not list(tmp_path.glob("cache/*"))


def test_input_that_is_touched_meanwhile_is_not(job, tmp_path):
    def touched(source, made):
        copy(source, made)
        os.utime(source, (1, 1))

    job(touched)
    job(lambda source, made: pytest.fail("the cache does not know it"))
    assert (tmp_path / "made.txt").read_text() == "first"


def test_full_disk_is_told_as_what_it_is(job, tmp_path):
    def full(source, made):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            made.write_bytes(5000 * b"x")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with pytest.raises(SystemExit):
        job(full)
    said = (tmp_path / "log.txt").read_text()
    assert "Traceback" not in said
    assert "made.txt cannot be written: File too large. The disk of" in said
    assert "free; this step writes more than the 1.0 kB that it had written" in said


@pytest.mark.parametrize("words", ["I/O error: No space left on device (os error 28)"])
def test_full_disk_of_a_library_of_its_own_errors_is_told_too(job, tmp_path, words):
    def full(source, made):
        raise RuntimeError(words)

    with pytest.raises(SystemExit):
        job(full)
    said = (tmp_path / "log.txt").read_text()
    assert f"cannot be written: {words}. The disk of" in said and "Traceback" not in said


def test_failure_names_an_input_that_was_damaged(job, tmp_path, monkeypatch):
    made = record("fetch", outputs={"results/source.txt": sha256("source.txt")})
    made["bytes"] = {"results/source.txt": 5}
    os.mkdir("results")
    (tmp_path / "results/source.txt").write_text("fir")
    (tmp_path / "results/source.txt.provenance.json").write_text(json.dumps(made))

    def read(source, made):
        raise ValueError("unexpected end")

    input = Namedlist(fromdict={"source": "results/source.txt"})
    with pytest.raises(SystemExit):
        job(read, input=input)
    said = (tmp_path / "log.txt").read_text()
    assert "Traceback" not in said and "ValueError: unexpected end" in said
    assert "results/source.txt: found 3 bytes, fetch wrote 5" in said
    with pytest.raises(SystemExit):
        job(read)  # whose input is whole
    assert "Traceback" in (tmp_path / "log.txt").read_text()


def test_record_says_how_large_the_inputs_were(job, tmp_path):
    job(copy)
    found = json.loads((tmp_path / "made.txt.provenance.json").read_text())
    assert found["sizes"] == {"source": {"bytes": 5}}
    assert found["seen"] == keys.signatures([str(tmp_path / "source.txt")])
    assert not list(tmp_path.glob("*.unfinished")) and not list(tmp_path.glob("*.checkpoints"))


def test_damaged_entry_of_the_cache_costs_a_step_nothing(job, tmp_path):
    job(copy)
    [manifest] = tmp_path.glob("cache/??/*/manifest.json")
    for text in ("", "[]", "null", '{"sha256": [], "provenance": "x"}'):
        manifest.write_text(text)
        (tmp_path / "made.txt").unlink()
        job(copy)
        assert (tmp_path / "made.txt").read_text() == "first"
        assert (tmp_path / "log.txt").read_text().count("is damaged") == 1
        assert len(Cache(tmp_path / "cache", 1).rows()) == 1


def key_of(**values):
    job = {"rule": "measure", "input": Namedlist(), "output": Namedlist(), "params": Namedlist()}
    job |= {"resources": Namedlist(), "threads": 1}
    return keys.cache_key(SimpleNamespace(**job | values), {})


def test_keys_of_results_that_depend_on_the_machine_hold_it(monkeypatch):
    speed = {"resources": Namedlist(fromdict={"measures_speed": 1})}
    automatic, fixed = (
        {"params": Namedlist(fromdict={"settings": {"precision": value}})}
        for value in ("auto", "bf16")
    )
    here = [key_of(**each) for each in ({}, fixed, speed, automatic)]
    assert here == [key_of(**each) for each in ({}, fixed, speed, automatic)]
    monkeypatch.setattr(keys, "identity", lambda: {"processor": "another"})
    monkeypatch.setattr(keys, "has_bf16", lambda: "another")
    there = [key_of(**each) for each in ({}, fixed, speed, automatic)]
    assert [a == b for a, b in zip(here, there, strict=True)] == [True, True, False, False]
    assert key_of(threads=2) == key_of() and key_of(**speed) != key_of(**speed, threads=2)


def test_copy_of_a_users_file_is_no_link(tmp_path):
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(5000 * b"x")
    copy_file(source, target)
    assert not os.path.samefile(source, target)
    with open(target, "r+b") as file:
        file.write(b"y")
    assert source.read_bytes() == 5000 * b"x" and os.path.getsize(target) == 5000


def test_mistake_in_a_prepared_row_cites_the_users_file(job, tmp_path):
    rows = tmp_path / "sft.train.jsonl"
    beside(rows).write_text("data/sft.csv:7\ndata/sft.csv:9\n")

    def refuse(source, made):
        raise UserError(f"{rows}:2: the conversation is too long")

    with pytest.raises(SystemExit):
        job(refuse)
    said = (tmp_path / "log.txt").read_text()
    assert "Error in copy: data/sft.csv:9: the conversation is too long" in said
