"""The terminal shows one line per job, and Snakemake's log keeps the rest."""

import logging
from types import SimpleNamespace

from specialist.engine.job_lines import JobLines


def record(event, created, text="", **values):
    made = logging.makeLogRecord({"msg": text, **values})
    made.created = created
    made.event = event and SimpleNamespace(name=event)
    return made


def shown(*records):
    """The lines that a terminal would show."""
    lines = JobLines(logging.Formatter())
    return [text for each in records if lines.filter(each) and (text := lines.format(each))]


def begun(number, rule, created, **wildcards):
    return record("JOB_INFO", created, jobid=number, rule_name=rule, wildcards=wildcards)


def test_one_line_per_job():
    assert shown(
        record(None, 0, "Building DAG of jobs..."),
        record("RUN_INFO", 0, "Job stats: ...", stats={"a": 1, "b": 1, "all": 1, "total": 3}),
        record(None, 0, "Select jobs to execute..."),
        begun(1, "pretrain", 10, dataset="food", base="small"),
        begun(2, "chunk_kb", 11),
        record("JOB_FINISHED", 14, "Finished jobid: 2", job_id=2),
        record("PROGRESS", 14, done=1, total=3),
        record(None, 20, "disk is nearly full"),
        record("JOB_FINISHED", 104, "Finished jobid: 1", job_id=1),
        begun(0, "all", 105),
        record("JOB_FINISHED", 105, "Finished jobid: 0", job_id=0),
        record(None, 105, "Complete log(s): x"),
        record(None, 105, "Elapsed time: 0:01:45"),
    ) == [
        "2 jobs to run",
        "[1/2] chunk_kb: 3 s",
        "disk is nearly full",
        "[2/2] pretrain small (food): 1 min 34 s",
        "Elapsed time: 0:01:45",
    ]


def test_failure_is_one_line_and_the_message():
    assert shown(
        begun(1, "prepare_sft", 10, dataset="own"),
        record("ERROR", 13, "RuleException:\nCalledProcessError in file x, line 1"),
        record("JOB_ERROR", 13, rule_name="prepare_sft", jobid=1),
        record(None, 13, "Shutting down, this might take some time."),
        record(None, 13, "Elapsed time: 0:00:07"),
        record("ERROR", 14, "Error in prepare_sft: a row is wrong"),
    ) == ["[failed] prepare_sft (own): 3 s", "Error in prepare_sft: a row is wrong"]
