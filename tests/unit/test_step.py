"""A step is known by the inputs that it read, so they must not change while it is at work."""

import os

import pytest
from snakemake.iocontainers import Namedlist

from specialist.core.errors import UserError
from specialist.core.places import beside
from specialist.engine import step


@pytest.fixture
def job(tmp_path):
    """Function that does a step as Snakemake would, from source.txt to made.txt, with a cache."""

    class Snakemake:
        rule, threads, params = "copy", 1, Namedlist(fromdict={"code": "0 agent/score.py"})
        input = Namedlist(fromdict={"source": str(tmp_path / "source.txt")})
        output = Namedlist(fromdict={"made": str(tmp_path / "made.txt")})
        wildcards, log = Namedlist(), [str(tmp_path / "log.txt")]
        config = {"cache": {"folder": tmp_path / "cache", "max_gb": 1}, "checkpoint_seconds": 60}

    (tmp_path / "source.txt").write_text("first")
    return lambda function: step.run(function, Snakemake)


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
    assert f"{tmp_path / 'source.txt'}: changed while this step was at work" in said
    assert not list(tmp_path.glob("cache/*"))


def test_input_that_is_touched_meanwhile_is_not(job, tmp_path):
    def touched(source, made):
        copy(source, made)
        os.utime(source, (1, 1))

    job(touched)
    job(lambda source, made: pytest.fail("the cache does not know it"))
    assert (tmp_path / "made.txt").read_text() == "first"


def test_mistake_in_a_prepared_row_cites_the_users_file(job, tmp_path):
    rows = tmp_path / "sft.train.jsonl"
    beside(rows).write_text("data/sft.csv:7\ndata/sft.csv:9\n")

    def refuse(source, made):
        raise UserError(f"{rows}:2: the conversation is too long")

    with pytest.raises(SystemExit):
        job(refuse)
    said = (tmp_path / "log.txt").read_text()
    assert "Error in copy: data/sft.csv:9: the conversation is too long" in said
