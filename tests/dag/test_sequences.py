"""Any sequence of changes ends with the bytes of a clean build, and computes nothing twice.

    pytest tests/dag/test_sequences.py --sequences 20 --seed 100

runs the sequences of seeds 100 to 119. Those that fail show what they did, step by step.
"""

import functools
import os
import random
import shutil
import signal
import subprocess
import time
from typing import NamedTuple

import pytest
import yaml
from snakemake.utils import update_config

import bike_shop
from edits import OLD, SCRIPTS, SPEC
from project import TINY, Project
from specialist.core.files import sha256
from specialist.engine.cache import MANIFEST

LENGTH = 5
FINAL = (
    "base/small/tokenizer/tokenizer.json",
    "base/small/model/model.safetensors",
    "adapter/lora-r16/adapter_model.safetensors",
    "adapter/lora-r2/adapter_model.safetensors",
    "adapter/lora-r16/merged/model.safetensors",
    "gguf/lora-r16/F16.gguf",
    "gguf/lora-r16/Q4_K_M.gguf",
    "index/minilm/chunks.jsonl",
    "index/minilm/embeddings.npy",
    "index/minilm/encoder.gguf",
    "index/minilm/shift.npy",
    "agent/lora-q4/traces.jsonl",
)
FOOD, LIBRARY, SHOP = DATASETS = ("food-delivery", "city-library", "bike-shop")
COMPANIES = (FOOD, LIBRARY)  # the simulated ones
FOLDER = {"bike-shop": bike_shop.CONFIG["datasets"]["bike-shop"]}


class Switch(NamedTuple):
    """A change that can be taken back.

    Args:
        datasets: those whose results it bears on.
        config: values laid over the configuration.
        edit: a file that no other switch edits, a text in it, and what stands there instead.
        work: whether a step must compute again.
        bytes: whether what it makes then has other bytes.
    """

    datasets: tuple = DATASETS
    config: dict = {}
    edit: tuple | None = None
    work: bool = True
    bytes: bool = True


SWITCHES = {
    "learning rate": Switch(config={"adapters": {"lora-r16": {"learning_rate": 0.002}}}),
    "rank": Switch(config={"adapters": {"lora-r2": {"rank": 3}}}),
    "seed": Switch(config={"seeds": {"pretrain": 2}}),
    "figure": Switch((FOOD,), edit=(f"{SPEC}/figures.yaml", "minutes: 35,", "minutes: 40,")),
    "task": Switch((FOOD,), edit=(f"{SPEC}/sayings/heldout.yaml", "nobody ever", "no one ever")),
    "phrase": Switch((FOOD,), edit=(f"{SPEC}/sayings/train.yaml", "Good day,", "Fine day,")),
    "template": Switch((FOOD,), edit=(f"{SPEC}/corpus.yaml", '["Copy", "Again"]', '["Copy"]')),
    "remark": Switch(
        (FOOD,), edit=(f"{SPEC}/labels.yaml", "# Names and", "# The names and"), bytes=False
    ),
    "article": Switch((SHOP,), edit=("data/bike-shop/kb/opening.md", "at six", "at seven")),
    "conversation": Switch((SHOP,), edit=("data/bike-shop/sft.csv", "the chain", "the old chain")),
    "function of pretraining": Switch(
        edit=(f"{SCRIPTS}/specialist/train/pretraining.py", "decay_share=0.7", "decay_share=0.6")
    ),
    "function of retrieval": Switch(
        edit=(
            f"{SCRIPTS}/specialist/rag/index_files.py",
            'return "\\n".join(filter',
            'return ": ".join(filter',
        )
    ),
    "same function in other words": Switch(
        COMPANIES,
        edit=(f"{SCRIPTS}/specialist/data/simulation.py", "names = []", "names = list()"),
        bytes=False,
    ),
    "docstring": Switch(
        edit=(f"{SCRIPTS}/specialist/core/text.py", '"""Rows of', '"""The rows of'),
        work=False,
    ),
}


class Workbench:
    """A project whose state is a dataset and the switches that are on."""

    def __init__(self, project):
        self.project, self.on = project, frozenset()
        bike_shop.write(project.folder / "data/bike-shop")
        paths = [switch.edit[0] for switch in SWITCHES.values() if switch.edit]
        self.texts = {path: (project.folder / path).read_text(encoding="utf-8") for path in paths}
        self.settings = project.folder / "state.yaml"
        self.set(FOOD, frozenset())

    def set(self, dataset, on, old=False):
        """Make the edits, and take those back, that lead to a state; files may get an old time."""
        for name in filter(lambda name: SWITCHES[name].edit, on ^ self.on):
            path, before, after = SWITCHES[name].edit
            text = self.texts[path]
            assert before in text, f"{path} does not hold {before!r}"
            edited = text.replace(before, after, 1) if name in on else text
            (self.project.folder / path).write_text(edited, encoding="utf-8")
            if old:
                os.utime(self.project.folder / path, (OLD, OLD))
        config = {"dataset": dataset, "datasets": FOLDER}
        for name in on:
            update_config(config, SWITCHES[name].config)
        self.settings.write_text(yaml.safe_dump(config), encoding="utf-8")
        self.project.overlays = [TINY, self.settings]
        self.dataset, self.on = dataset, on

    def state(self, of="work"):
        """What decides which work is to be done; of="bytes": which bytes come out."""
        on = (name for name in self.on if self.dataset in SWITCHES[name].datasets)
        return self.dataset, frozenset(name for name in on if getattr(SWITCHES[name], of))

    def targets(self):
        return [f"results/{self.dataset}/{name}" for name in FINAL]

    def final(self):
        """{final file: hash of its content}"""
        return {path: sha256(self.project.folder / path) for path in self.targets()}

    def keys(self):
        """What the cache knows."""
        return {path.parent.name for path in self.project.folder.glob(f"cache/??/*/{MANIFEST}")}

    def change(self, moments):
        """Change something at random; returns what it was, in words."""
        kind = moments.choices(["switch", "dataset", "touch", "delete"], [6, 2, 1, 2])[0]
        if kind == "switch":
            names = [name for name in SWITCHES if self.dataset in SWITCHES[name].datasets]
            back = [name for name in names if name in self.on]
            name = moments.choice(back if back and moments.random() < 0.5 else names)
            edit = SWITCHES[name].edit
            # Python's own cache of code goes by times.
            old = bool(edit) and not edit[0].endswith(".py") and moments.random() < 0.5
            self.set(self.dataset, self.on ^ {name}, old)
            return f"{name} changed{' back' * (name not in self.on)}{', with an old time' * old}"
        if kind == "dataset":
            self.set(moments.choice([name for name in DATASETS if name != self.dataset]), self.on)
            return f"dataset {self.dataset}"
        if kind == "delete":
            paths = self.project.outputs(f"results/{self.dataset}")
            if paths:
                path = moments.choice(sorted(paths))
                (self.project.folder / path).unlink()
                return f"{path} deleted"
        for folder in ("config", "data", "envs", "resources", "results", "workflow"):
            for path in (self.project.folder / folder).rglob("*"):
                os.utime(path)
        return "all touched"

    def kill(self, jobs, seconds):
        """Start a run, and kill it with all its jobs some seconds after it ended some of them."""
        written = self.project.written()
        run = subprocess.Popen(
            self.project.command(*self.targets()),
            cwd=self.project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while run.poll() is None and len(self.project.since(written)) < jobs:
            time.sleep(0.1)
        try:
            run.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()


@pytest.fixture(scope="session")
def clean_build(tiny, tmp_path_factory):
    """A function: the final files of a state, built from nothing, with a cache of its own."""

    @functools.cache
    def build(state):
        if state == (FOOD, frozenset()):
            return {
                path: sha256(tiny.folder / path) for path in [f"results/{FOOD}/{n}" for n in FINAL]
            }
        bench = Workbench(Project.new(tmp_path_factory.mktemp("clean") / "project", TINY))
        bench.set(*state)
        bench.project.run(*bench.targets())
        found = bench.final()
        shutil.rmtree(bench.project.folder)
        return found

    return build


def pytest_generate_tests(metafunc):
    first, count = (metafunc.config.getoption(name) for name in ("seed", "sequences"))
    metafunc.parametrize("seed", range(first, first + count))


def test_sequence(seed, tiny, clean_build, fresh_copy):
    moments = random.Random(seed)
    bench = Workbench(fresh_copy(tiny))
    project, last = bench.project, bench.state()
    built = {last}
    for number in range(LENGTH):
        what = bench.change(moments)
        kill = moments.random() < 0.4 and (moments.randrange(10), moments.uniform(0, 4))
        known, written = bench.keys(), project.written()
        if kill:
            bench.kill(*kill)
        computed = [made for made in project.since(written) if not made.get("restored")]
        again = [made["rule"] for made in computed if made["key"] in known]
        killed = f", killed after {len(project.since(written))} jobs" if kill else ""
        known, written = bench.keys(), project.written()
        ran = project.run(*bench.targets())
        now = [made for made in project.since(written) if not made.get("restored")]
        again += [made["rule"] for made in now if made["key"] in known]
        print(
            f"seed {seed}, step {number}: {what}{killed}; then {len(ran)} jobs ran, "
            f"{len(now)} of them computed"
        )
        assert again == [], "the cache knew what these made"
        if bench.state() in built:
            assert computed + now == [], "all of this has been made before"
        if bench.state() == last and "deleted" not in what:
            assert ran == set()
        final, expected = bench.final(), clean_build(bench.state("bytes"))
        assert [path for path in expected if final[path] != expected[path]] == []
        last = bench.state()
        built.add(last)
    assert project.planned(*bench.targets()) == set()
