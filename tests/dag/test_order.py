"""Data is checked before any training, however many jobs can run side by side."""

import re

from project import JOB, TINY, Project

TRAINING = ("pretrain", "train_lora")
CHECKS = {"prepare_sft", "prepare_tasks", "audit_leakage", "score", "build_chroma", "learn_queries"}


def started(project, *arguments):
    """(rule, its details) of each job in the order of a dry run with room for all that are ready.

    Ready are those whose dependencies have run, so a rule that could start side by side with
    another one stands before what follows from that one.
    """
    status, said = project.snakemake("--dry-run", *arguments, cores=64)
    assert status == 0, said[-8000:]
    return JOB.findall(said)


def test_training_waits_for_all_checks(tmp_path):
    jobs = started(Project.new(tmp_path, TINY))
    first = min(number for number, (rule, _) in enumerate(jobs) if rule in TRAINING)
    before = jobs[:first]
    assert {rule for rule, _ in before} >= CHECKS
    assert any(rule == "score" and re.search(r"system=oracle", told) for rule, told in before)
    # What needs a model does not wait, and is not waited for.
    assert not any(rule == "run_agent" and "system=base" in told for rule, told in before)
