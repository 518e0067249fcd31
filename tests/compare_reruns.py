"""Measures what a change costs with Snakemake alone, and with this workflow.

    python tests/compare_reruns.py            prints a table in Markdown
    python tests/compare_reruns.py TARGET     of a part of the workflow, for example of a GGUF

In each cell stand the jobs that computed, the processor time of the whole run, Snakemake and the
imports of each job included, and the time until it ended.

Both sides have the same rules and scripts, and run the tiny configuration of the tests. Snakemake
alone has its default options, no digest of code among the parameters, no look at the content of
older files, and no cache. A change comes
on top of those before it. A side is stale when its files have other bytes than the other side's
although both ran: all that is compared is the same in each run that computes it anew.
"""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "workflow" / "scripts")]

from edits import SCRIPTS, SPEC, append, configure, replace, replace_by_older, touch  # noqa: E402
from project import PARTS, TINY, Project  # noqa: E402

DIGEST = "text = json.dumps(parts(script, *envs), sort_keys=True)"


def nothing(project):
    pass


def delete_results(project):
    shutil.rmtree(project.folder / "results")


def check_out(project):
    """Make the project the same sources in another folder, where nothing has run."""
    folder = project.folder.with_name(f"{project.folder.name}-2")
    folder.mkdir()
    for part in PARTS:
        source = project.folder / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    project.folder = folder


CHANGES = {
    "nothing": nothing,
    "all sources touched, as by a fresh checkout": touch(*PARTS),
    "a docstring in a shared module": replace(
        f"{SCRIPTS}/specialist/train/finetuning.py",
        '"""Fine-tuning on',
        '"""The fine-tuning on',
    ),
    "a function in a shared module, used by LoRA": replace(
        f"{SCRIPTS}/specialist/train/finetuning.py",
        'labels[carries], reduction="sum"',
        'labels[carries], reduction="sum", label_smoothing=0.1',
    ),
    "a learning rate": configure(adapters={"lora-r16": {"learning_rate": 0.001}}),
    "the old learning rate again": configure(adapters={"lora-r16": {"learning_rate": 0.003}}),
    "a figure of the handbook": replace(f"{SPEC}/figures.yaml", "minutes: 35,", "minutes: 40,"),
    "a figure again, in a file with an old time, as mv and unzip leave it": replace_by_older(
        f"{SPEC}/figures.yaml", "minutes: 75,", "minutes: 80,"
    ),
    "a remark in a spec, which changes no byte of what is made of it": append(
        f"{SPEC}/labels.yaml", "# A remark.\n"
    ),
    "results/ deleted": delete_results,
    "a second checkout": check_out,
}


class Side:
    """A project, and how it is run."""

    def __init__(self, folder, *arguments, **config):
        self.project, self.arguments = Project.new(folder, TINY).overlay(**config), arguments

    def run(self):
        """(number of jobs that computed, seconds of processor time, seconds)"""
        written, cpu, begin = self.project.written(), cpu_seconds(), time.perf_counter()
        self.project.run(*sys.argv[1:], *self.arguments)
        cost = cpu_seconds() - cpu, time.perf_counter() - begin
        made = self.project.since(written)
        return sum(not record.get("restored") for record in made), *cost


def cpu_seconds():
    """Processor time of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cell(jobs, cpu, seconds, stale=False):
    return f"{jobs} jobs, {cpu:.0f} s ({seconds:.0f} s)" + ", stale!" * stale


def compare(folder):
    alone = Side(folder / "alone", "--workflow-profile", "none", cache={"max_gb": 0})
    alone.project.edit(f"{SCRIPTS}/specialist/engine/digest.py", DIGEST, 'text = ""')
    alone.project.edit("Snakefile", "internals.compare_contents(workflow)\n", "")
    workflow = Side(folder / "workflow", cache={"folder": str(folder / "cache")})
    print("| the change | Snakemake alone | this workflow |\n| --- | ---: | ---: |", flush=True)
    for name, change in {"the first run": nothing, **CHANGES}.items():
        runs = []
        for side in (alone, workflow):
            change(side.project)
            runs.append(side.run())
        files = [side.project.comparable() for side in (alone, workflow)]
        cells = cell(*runs[0], stale=files[0] != files[1]), cell(*runs[1])
        print("|", " | ".join([name, *cells]), "|", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder))
