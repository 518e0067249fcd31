"""What a run prints with the default profile: one line per job, and a mistake as the last words."""

import re
import subprocess

from project import TINY, Project

TARGET = "results/own/prepared/sft.train.jsonl"
ROW = '{"prompt": "Is it %s?", "completion": "No."}'
TOLD = """\
Error in prepare_sft: the data has 1 mistake
  data/own/sft.jsonl:2: found no JSON (Expecting value at column 1); write one JSON object \
on each line
(log: results/logs/own/prepare_sft.log)
"""


def run(project):
    return subprocess.run(
        project.command(TARGET, cores=1), cwd=project.folder, capture_output=True, text=True
    )


def test_jobs_are_lines_and_a_mistake_comes_last(tmp_path):
    project = Project.new(tmp_path, TINY).overlay(datasets={"own": {"path": "data/own"}})
    rows = tmp_path / "data/own/sft.jsonl"
    rows.parent.mkdir(parents=True)
    good = "\n".join(ROW % number for number in range(40))
    rows.write_text(f"{ROW % 'wrong'}\nno JSON\n{good}\n")
    done = run(project)
    assert done.returncode == 1 and done.stderr.endswith(TOLD), done.stderr
    assert "[failed] prepare_sft (own): " in done.stderr
    for noise in ("Traceback", "RuleException", "CalledProcessError", "Error in rule", "Shutting"):
        assert noise not in done.stderr
    assert done.stderr.count("found no JSON") == 1
    [log] = project.logs()
    assert "Error in rule prepare_sft:" in log.read_text() and "jobid: 0" in log.read_text()

    rows.write_text(good)
    done = run(project)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Using workflow specific profile profiles/default")
    assert lines[1] == "1 job to run"
    assert not re.search("jobid|Building DAG|Job stats|Complete log|Select jobs", done.stderr)
    assert re.fullmatch(r"\[1/1\] prepare_sft \(own\): (< )?[0-9]+ s", lines[-2]), lines
    assert lines[-1].startswith("Elapsed time: ")
    assert "rule prepare_sft:" in max(project.logs()).read_text()
