"""What the workflow uses of Snakemake is there, and does what it is used for.

If a test here fails after a change of version, its message names the attribute that is gone.
"""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from specialist.core.errors import UserError
from specialist.engine import internals

SNAKEFILE = """
import sys
from specialist.core.errors import UserError
from specialist.engine import internals, sources

internals.speak_plainly()
internals.compare_contents(workflow)
internals.check_first(workflow, {"long"})

onstart:
    print("cores", internals.cores(workflow))
    print("forced", internals.forced_selection(workflow))
    print("here", internals.runs_here(workflow))
    print("to run", internals.jobs_to_run(workflow))
    print("all", sorted(job.rule.name for job in internals.jobs(workflow)))
    internals.lift_job_rate(workflow)

if config.get("mistake") == "parse":
    raise UserError("the configuration is wrong\\nin two lines")

def source(wildcards):
    if config.get("mistake") == "input":
        raise UserError("the input is wrong")
    return "source.txt"

rule all:
    input: "second.txt"

rule first:
    input: source
    output: "first-{name}.txt"
    log: "first-{name}.log"
    shell: config.get("command", "cp {input} {output}")

rule long:
    output: "long.txt"
    shell: "touch {output}"

# Fails if the other one began before it ended.
rule check:
    output: "check.txt"
    priority: 1
    shell: "sleep 1; test ! -e long.txt && touch {output}"

rule second:
    input: "first-a.txt"
    output: "second.txt"
    shell: "cp {input} {output}"
"""
RUN = """
import sys
from specialist.engine import internals
from snakemake.cli import main
if "explain" in sys.argv:
    internals.explain_with(lambda workflow, job: print(
        "explained", job.rule.name, internals.reason(workflow, job)))
main(sys.argv[1:])
"""


@pytest.fixture
def snakemake(tmp_path, pytestconfig):
    """Function that runs Snakemake on the Snakefile above; its exit status, and what it said."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "source.txt").write_text("source")

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", RUN, "--cores", "1", "--nocolor", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath / "workflow/scripts")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    return run


def test_every_attribute_is_there_and_works(snakemake, tmp_path):
    status, said = snakemake("-R", "first")
    assert status == 0, said
    assert "forced ['first']" in said and "here True" in said and "cores 1" in said
    assert "('first', {'name': 'a'})" in said and "all ['all', 'first', 'second']" in said
    status, said = snakemake()
    assert status == 0 and "Nothing to be done" in said
    # A record that names another content has the job run, though all files are as they were.
    (tmp_path / "first-a.txt.provenance.json").write_text(
        '{"rule": "first", "wildcards": {}, "params": {}, "code": {}, "start_s": 0, "import_s": 0,'
        ' "compute_s": 0, "peak_memory_mb": 0, "inputs": {"source.txt": "another"},'
        ' "outputs": {"first-a.txt": "some"}}'
    )
    status, said = snakemake("--executor", "explain")
    assert status == 0 and "explained first Forced execution" in said
    assert "explained second " in said
    status, said = snakemake()
    assert status == 0 and "('first', {'name': 'a'})" in said and "forced []" in said


def test_jobs_with_priority_end_before_long_ones_begin(snakemake, tmp_path):
    status, said = snakemake("long.txt", "check.txt", "--cores", "2")
    assert status == 0, said
    (tmp_path / "long.txt").unlink()  # with nothing to check, it runs as ever
    status, said = snakemake("long.txt", "check.txt")
    assert status == 0 and "[('long', {})]" in said
    (tmp_path / "check.txt").unlink()
    status, said = snakemake("check.txt", "long.txt")
    assert status != 0 and "[('check', {})]" in said  # the order is no reason to run again


def test_no_other_module_reaches_into_snakemake(pytestconfig):
    scripts = pytestconfig.rootpath / "workflow/scripts"
    found = {
        (path.relative_to(scripts).as_posix(), line.strip())
        for path in scripts.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r" *(from|import) snakemake\b", line)
        and path.name not in ("internals.py", "mirror.py")
    }
    assert found == {("show_plan.py", "from snakemake.cli import main")}


def test_attribute_that_is_gone_is_named():
    with pytest.raises(UserError, match=r"Snakemake .* has no .*dag.needrun_jobs"):
        internals.jobs_to_run(SimpleNamespace(dag=SimpleNamespace()))


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("parse", "Error: the configuration is wrong\nin two lines"),
        ("input", "Error: the input is wrong"),
    ],
)
def test_mistake_is_told_as_its_message_alone(snakemake, mistake, told):
    status, said = snakemake("--config", f"mistake={mistake}")
    assert status == 1
    assert said.strip().endswith(told) and "Traceback" not in said and 'Snakefile"' not in said


def test_words_of_a_failed_job_come_last(snakemake, tmp_path):
    (tmp_path / "said").write_text("Begins\n\nError in first: a row is wrong\nin two lines\n")
    status, said = snakemake("--config", "command=cp said {log}; exit 1")
    assert status == 1
    told = "Error in first: a row is wrong\nin two lines\n(log: first-a.log)"
    assert said.strip().endswith(told), said
    status, said = snakemake("--config", "command=echo KeyError > {log} && exit 1")
    assert said.strip().endswith("Error in first; its log is first-a.log\nKeyError")
    status, said = snakemake("--config", "command=kill -KILL $$")
    told = "Error in first: SIGKILL ended its process; the system sends it when memory runs out"
    assert status == 1 and said.strip().endswith(f"{told}\n(log: first-a.log)")
