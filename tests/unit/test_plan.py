"""The plan of a run: what is told of a job, and in which lines."""

import pytest

from specialist.core.files import sha256
from specialist.engine import changes, records, sizes
from specialist.engine.cache import Cache
from specialist.engine.keys import cache_key
from specialist.engine.plan import COMPUTED, PERHAPS, RESTORED, Job, Planner, table
from specialist.preflight.work import ratio

PARAMS = {
    "one value": ({"rate": 0.003}, {"rate": 0.001}, ["rate: 0.003 -> 0.001"]),
    "one of many": ({"a": 1, "rank": 8}, {"a": 1, "rank": 16}, ["rank: 8 -> 16"]),
    "inside others": (
        {"config": {"agent": {"steps": 8}, "seed": 1}},
        {"config": {"agent": {"steps": 5}, "seed": 1}},
        ["config.agent.steps: 8 -> 5"],
    ),
    "came and went": ({"a": 1}, {"b": 2}, ["a: 1 -> not set", "b: not set -> 2"]),
    "list": ({"kinds": ["Q4", "Q8"]}, {"kinds": ["Q4", "Q6"]}, ["kinds: + Q6, - Q8"]),
    "order of a list": ({"kinds": [1, 2]}, {"kinds": [2, 1]}, ["kinds: [1, 2] -> [2, 1]"]),
    "code is told elsewhere": ({"code": "1"}, {"code": "2"}, []),
    "tuple, as JSON holds it": ({"kinds": [1]}, {"kinds": (1,)}, []),
}


@pytest.mark.parametrize(("old", "new", "told"), PARAMS.values(), ids=PARAMS)
def test_parameters(old, new, told):
    assert changes.params(old, new) == told


def test_files():
    old, new = {"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": None, "d": "1"}
    assert changes.files(old, new) == ["a changed", "new input: d", "no longer an input: c"]


def test_many_files_are_one_line():
    old, new = dict.fromkeys("abcdefg", "1"), dict.fromkeys("abcdefg", "2")
    assert changes.files(old, new) == ["a and 6 more files changed"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "< 1 s"), (59.6, "1 min 0 s"), (384, "6 min 24 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds, text):
    assert records.duration(seconds) == text


class Bench:
    """A folder where `first` makes a.txt from spec.txt, and `second` makes b.txt from a.txt."""

    def __init__(self, folder):
        self.folder, self.cache = folder, Cache(folder / "cache", 1)
        (folder / "spec.txt").write_text("spec")

    def job(self, rule, source, target, **params):
        params = {"code": "0123 step.py"} | params
        paths = Named(source=str(self.folder / source)), Named(target=str(self.folder / target))
        return Job(rule, *paths, params, {}, "Snakemake's reason")

    def jobs(self, **params):
        """The two jobs, the parameters those of the first."""
        return [
            self.job("first", "spec.txt", "a.txt", **params),
            self.job("second", "a.txt", "b.txt"),
        ]

    def run(self, jobs):
        """Do jobs, keep what they made and write records; returns {path of an output: record}."""
        made = {}
        for job in jobs:
            source, target = job.input[0], job.output[0]
            with open(source) as old, open(target, "w") as new:
                new.write(old.read() + job.rule)
            made[target] = {
                "rule": job.rule, "wildcards": {}, "params": job.params, "code": {},
                "inputs": {source: sha256(source)}, "outputs": {target: sha256(target)},
                "start_s": 1, "import_s": 0, "compute_s": 9, "peak_memory_mb": 1200,
            }  # fmt: skip
            self.cache.store(
                cache_key(job, made[target]["inputs"]), made[target]["outputs"], made[target]
            )
        return made

    def explain(self, jobs, made, selected=()):
        planner = Planner(made, self.cache, selected)
        return [planner.explain(job) for job in jobs]


class Named(list):
    """A list with names, as Snakemake hands inputs and outputs to a script."""

    def __init__(self, **values):
        super().__init__(values.values())
        self.items = values.items


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr("specialist.engine.plan.parts", lambda *asked: {})
    return Bench(tmp_path)


def told(jobs):
    return [(job.causes, job.fate) for job in jobs]


def test_changed_parameter_and_what_follows(bench):
    made = bench.run(bench.jobs(rate=1))
    first, second = bench.explain(bench.jobs(rate=2), made)
    assert told([first, second]) == [(["rate: 1 -> 2"], COMPUTED), ([], PERHAPS)]
    assert second.after == [first]
    assert (first.seconds, first.memory_mb, first.guessed) == (10, 1200, False)


def test_changed_source(bench):
    made = bench.run(bench.jobs())
    (bench.folder / "spec.txt").write_text("another")
    assert told(bench.explain(bench.jobs(), made))[0] == (
        [f"{bench.folder}/spec.txt changed"], COMPUTED,
    )  # fmt: skip


def test_what_is_kept_is_restored_to_the_end_of_the_chain(bench):
    made = bench.run(bench.jobs())
    for path in made:
        (bench.folder / path).unlink()
    gone = ["its output is missing"]
    assert told(bench.explain(bench.jobs(), made)) == [(gone, RESTORED), (gone, RESTORED)]
    never = ["never ran here"]
    assert told(bench.explain(bench.jobs(), {})) == [(never, RESTORED), (never, RESTORED)]


def test_forced_is_computed(bench):
    made = bench.run(bench.jobs())
    assert told(bench.explain(bench.jobs(), made, ["first"])) == [
        (["forced"], COMPUTED), ([], PERHAPS),
    ]  # fmt: skip
    assert told(bench.explain(bench.jobs(), made, ["*"])) == 2 * [(["forced"], COMPUTED)]


def test_cost_of_the_same_step_elsewhere(bench):
    made = bench.run(bench.jobs())
    (job,) = bench.explain([bench.job("third", "spec.txt", "c.txt")], made)
    assert told([job]) == [(["never ran here"], COMPUTED)]
    assert job.guessed and job.seconds == 10
    (job,) = bench.explain([bench.job("third", "spec.txt", "c.txt", code="45 other.py")], made)
    assert job.seconds is None
    assert "unknown" in table([job])


TRAINED = {"model": {"weights": 4_000_000}, "conversations": {"bytes": 100_000, "rows": 400}}
PRETRAINED = {"depth": 4, "train_tokens": 1}
LARGE = {"model": {"weights": 135_000_000}, "conversations": {"bytes": 200_000, "rows": 400}}


@pytest.mark.parametrize(
    ("rule", "job", "other", "times"),
    [
        ("train_lora", (LARGE, {"epochs": 1}), (TRAINED, {"epochs": 1}), 138.3 / 7.3 * 2),
        ("train_lora", (TRAINED, {"epochs": 3}), (TRAINED, {"epochs": 1}), 3),
        ("train_lora", (TRAINED, {"examples": 100}), (TRAINED, {}), 0.25),
        ("train_lora", (TRAINED | {"conversations": {"rows": 800}}, {}), (TRAINED, {}), 2),
        ("train_lora", ({"model": {"weights": 1}}, {}), (TRAINED, {}), None),
        ("train_lora", (TRAINED, {}), ({}, {}), None),
        ("pretrain", ({}, PRETRAINED | {"train_tokens": 2}), ({}, PRETRAINED), 2),
        ("merge_lora", (LARGE, {}), (TRAINED, {}), 33.75),
        ("collect_eval", (LARGE, {}), (TRAINED, {}), 1),
        ("run_agent", ({"tasks": {"rows": 2}}, {"policy": "oracle"}),
         ({"tasks": {"rows": 1}}, {"policy": "oracle"}), 2),
        ("run_served", ({"tasks": {"rows": 9}}, {"sample": 3}), ({"tasks": {"rows": 6}}, {}), 0.5),
    ],
)  # fmt: skip
def test_work_grows_with_model_and_data(rule, job, other, times):
    assert ratio(rule, job, other) == (times and pytest.approx(times))


def test_time_of_another_size_is_scaled_and_marked(bench):
    made = bench.run(bench.jobs())
    planner = Planner(made, bench.cache, ratio=lambda rule, job, other: 30.0)
    job = planner.explain(bench.job("third", "spec.txt", "c.txt"))
    assert job.guessed and job.seconds == 1 + 30 * 9  # the start of the process is not scaled
    assert "~ 4 min 31 s" in table([job])
    planner = Planner(made, bench.cache, ratio=lambda rule, job, other: None)
    job = planner.explain(bench.job("third", "spec.txt", "c.txt"))
    assert job.seconds is None and "unknown" in table([job])


def test_sizes_of_files(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "m.safetensors")
    assert sizes.of_file(str(tmp_path / "m.safetensors"))["weights"] == 17
    (tmp_path / "r.jsonl").write_text("{}\n{}\n")
    assert sizes.of_file(str(tmp_path / "r.jsonl")) == {"bytes": 6, "rows": 2}
    for text in ("", "x", 20 * "x"):
        (tmp_path / "m.safetensors").write_text(text)
        assert "weights" not in sizes.of_file(str(tmp_path / "m.safetensors"))


def test_table_groups_what_runs_for_the_same_reason(bench):
    made = bench.run(bench.jobs(rate=1))
    jobs = bench.explain(bench.jobs(rate=2), made)
    assert [line.strip() for line in table(jobs).splitlines()] == [
        "time    memory  step",
        "10 s    1.2 GB  first",
        "rate: 1 -> 2",
        "10 s ?    1.2 GB  second (follows first)",
        "",
        "2 jobs: 1 computed, 1 perhaps restored",
        "10 s to 20 s if one runs after the other; took at most 1.2 GB",
        "? restored from the cache if its inputs stay the same",
    ]
