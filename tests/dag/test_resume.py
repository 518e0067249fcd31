"""A run that is killed goes on when the same command is given again, and ends with the same bytes.

The runs here also have a folder and a cache of their own, so equal bytes mean that nothing but
the configuration decides them.
"""

import os
import random
import re
import signal
import subprocess
import time

from project import TINY, Project

# How often the run is killed while a job of a rule is at work.
KILLS = {
    "simulate_corpus": 1,
    "prepare_sft": 1,
    "train_tokenizer": 1,
    "pretrain": 3,
    "train_lora": 2,
    "merge_lora": 1,
    "convert_gguf": 1,
    "quantize": 3,
    "chunk_kb": 1,
    "embed_chunks": 1,
    "build_chroma": 2,
    "run_agent": 4,
    "score": 1,
    "collect_eval": 1,
}
# Training is killed after a checkpoint of its own, so that it has got on each time.
FOLDERS = {
    "pretrain": "results/food-delivery/base/small/model",
    "train_lora": "results/food-delivery/adapter/lora-r16",
}


def whole_checkpoints(project, rule):
    found = (project.folder / FOLDERS[rule]).glob("*.checkpoints/*/*")
    return {path for path in found if path.name.isdecimal()}


class Run:
    """Snakemake in a process group of its own."""

    def __init__(self, project, number):
        self.project, self.said = project, project.folder / f"said-{number}.txt"
        self.logs = project.logs()
        self.before = {rule: whole_checkpoints(project, rule) for rule in FOLDERS}
        with open(self.said, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                project.command(),
                cwd=project.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def at_work(self, rule):
        """Whether a job of a rule has started, and made a checkpoint if it makes any."""
        if rule in FOLDERS:
            return bool(whole_checkpoints(self.project, rule) - self.before[rule])
        logs = [path.read_text(encoding="utf-8") for path in self.project.logs() - self.logs]
        return re.search(f"^(local)?rule {rule}:", "".join(logs), re.MULTILINE)

    def kill(self, group):
        """End the process, and its jobs too if `group`, without a chance to tidy up."""
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_a_run_that_is_killed_again_and_again_makes_the_same_bytes(tiny, tmp_path):
    project = Project.new(tmp_path / "killed", TINY)
    left, kills, moments = dict(KILLS), [], random.Random(1)
    run = Run(project, 0)
    while run.process.poll() is None:
        time.sleep(0.02)
        rule = next((rule for rule in left if left[rule] and run.at_work(rule)), None)
        if rule:
            left[rule] -= 1
            time.sleep(moments.uniform(0, 0.3 if rule in FOLDERS else 2))
            if run.process.poll() is None:
                # Now and then the jobs outlive their run.
                run.kill(group=moments.random() < 0.8)
                kills.append(rule)
                run = Run(project, len(kills))
    said = run.said.read_text(encoding="utf-8")
    assert run.process.returncode == 0, said[-8000:]
    assert len(kills) >= 20, kills
    everything = "".join(path.read_text() for path in project.folder.glob("said-*.txt"))
    for folder in FOLDERS.values():
        assert re.search(f"goes on from step [1-9][0-9]*: {folder}", everything)
    assert not list(project.folder.rglob("*.checkpoints"))
    expected, found = tiny.comparable(), project.comparable()
    assert expected.keys() == found.keys()
    assert [path for path in expected if expected[path] != found[path]] == []


def test_two_runs_exclude_each_other(tiny, fresh_copy):
    project = fresh_copy(tiny)
    (project.folder / "results/systems.svg").unlink()
    first = subprocess.Popen(project.command(), cwd=project.folder, stderr=subprocess.DEVNULL)
    lock = project.folder / ".snakemake/run.lock"
    owner = f"process {first.pid} "
    while owner not in lock.read_text() and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # as long as the second run is there
    status, output = project.snakemake()
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert status == 1 and f"another run works in {project.folder} ({owner}" in output
    assert project.planned() == set()
