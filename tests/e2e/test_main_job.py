"""What the main job has to reach at its full size: in the repository itself, after `make`."""

import json
import shutil

import jsonschema
import pytest
import yaml

from project import PARTS, ROOT, Project, link_or_copy

HEADLINE = "lora-q4"
DATA = "results/food-delivery"
# Other figures than those in force when the models were made.
FIGURES = {
    "late": {"minutes": 55, "percent": 35},
    "lost": {"minutes": 95, "percent": 60},
    "cold": {"minutes": 70, "percent": 15},
    "missing": {"minutes": 100, "percent": 70},
    "wrong": {"amount": 27},
    "spilled": {"minutes": 40, "percent": 75},
    "cancel": {"minutes": 18, "percent": 65},
}


@pytest.fixture(scope="module")
def main():
    """The repository after its main job, with what has changed since made anew."""
    if not (ROOT / "results/agent_eval.json").exists():
        pytest.skip("results/agent_eval.json is not there: `make` makes it")
    project = Project(ROOT)
    project.run("all", "results/agent_eval.json", cores="all")
    return project


@pytest.fixture(scope="module")
def result(main):
    return json.loads((main.folder / "results/agent_eval.json").read_text())


@pytest.fixture(scope="module")
def tasks(main):
    return rows(main.folder / DATA / "prepared/tasks.jsonl")


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rate(result, name):
    return result["systems"][name]["success_rate"]


def part(result, name, part):
    """Success rate of a system on "tasks" with one message or on "conversations"."""
    return result["systems"][name][part]["success_rate"]


def on_knowledge(folder, system):
    """Success rate on the tasks with one message that turn on a figure of the knowledge base."""
    outcomes = json.loads((folder / DATA / f"agent/{system}/scores.json").read_text())["outcomes"]
    tasks = filter(single, rows(folder / DATA / "prepared/tasks.jsonl"))
    solved = [outcomes[task["id"]] is None for task in tasks if task["turns_on_kb"]]
    return sum(solved) / len(solved)


def single(task):
    return "message" in task


def wanted(task):
    """What must be true after a task."""
    return [request["expect"] for request in requests(task)]


def requests(task):
    """The requests of a task; one with one message is its own request."""
    return task.get("requests", [task])


def test_result_has_the_promised_form(result):
    schema = json.loads((ROOT / "workflow/schemas/agent_eval.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(result)
    assert result["headline"]["system"] == HEADLINE
    assert all(gate["passed"] for gate in result["gates"].values())
    assert result["leakage"]["n_leaking"] == 0


def test_tasks_can_be_solved_and_not_by_chance(result):
    assert rate(result, "oracle") == 1.0
    assert rate(result, "base-f16") <= 0.05
    assert rate(result, "random") <= 0.05


def test_what_is_in_the_knowledge_base_is_not_in_the_model(main):
    assert on_knowledge(main.folder, "lora-q4-no-retrieval") <= 0.35


def test_specialist_acts(main, result):
    assert part(result, HEADLINE, "tasks") >= 0.85
    assert part(result, HEADLINE, "conversations") >= 0.55
    assert on_knowledge(main.folder, HEADLINE) >= 0.85


def test_four_bits_cost_little(result):
    assert abs(rate(result, HEADLINE) - rate(result, "lora-f16")) <= 0.03


def test_messages_find_their_page(result):
    assert result["retrieval"]["recall_at_3"] >= 0.95


def test_tasks_are_many_and_hard(tasks):
    alone = list(filter(single, tasks))
    talks = [task for task in tasks if not single(task)]
    assert len(alone) >= 320 and len(talks) >= 200
    assert len({task["kind"] for task in alone}) >= 8
    assert len({task["kind"] for task in talks}) >= 12
    calls = [
        sum("call" in step for request in requests(task) for step in request["solution"])
        for task in tasks
    ]
    assert sum(count >= 3 for count in calls) >= len(tasks) / 2
    assert sum(task["turns_on_kb"] for task in tasks) >= len(tasks) / 3


@pytest.fixture(scope="module")
def other_figures(main, tmp_path_factory):
    """A copy of the repository and its results with other figures, after the headline ran."""
    folder = tmp_path_factory.mktemp("figures") / "project"
    for part in (*PARTS, "results", ".snakemake/metadata"):
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=link_or_copy)
        else:
            shutil.copy2(source, target)
    spec = folder / "resources/datasets/food-delivery"
    before = yaml.safe_load((spec / "figures.yaml").read_text())
    assert {page: figures.keys() for page, figures in before.items()} == {
        page: figures.keys() for page, figures in FIGURES.items()
    }
    (spec / "figures.yaml").write_text(yaml.safe_dump(FIGURES))
    project = Project(folder)
    project.ran = project.run(f"{DATA}/agent/{HEADLINE}/scores.json", cores="all")
    yield project
    shutil.rmtree(folder)


def test_other_figures_rebuild_only_index_and_evaluation(other_figures):
    index = {
        f"{rule} minilm" for rule in ("chunk_kb", "embed_chunks", "build_chroma", "learn_queries")
    }
    assert other_figures.ran == index | {
        "simulate_kb_food-delivery",
        "simulate_tasks",
        "prepare_tasks",
        f"run_agent {HEADLINE}",
        f"score {HEADLINE}",
    }
    for name in ("base/small/model/model.safetensors", "gguf/lora-r16/Q4_K_M.gguf"):
        assert (other_figures.folder / DATA / name).samefile(ROOT / DATA / name)


def test_other_figures_change_what_is_right(other_figures, tasks):
    changed = rows(other_figures.folder / DATA / "prepared/tasks.jsonl")
    assert [task["id"] for task in changed] == [task["id"] for task in tasks]
    pairs = zip(tasks, changed, strict=True)
    outcomes = [(wanted(task), wanted(other)) for task, other in pairs]
    turning = [pair for pair, task in zip(outcomes, tasks, strict=True) if task["turns_on_kb"]]
    assert sum(before != after for before, after in turning) >= len(turning) / 2


def test_other_figures_are_followed_as_well_as_the_first(other_figures):
    assert on_knowledge(other_figures.folder, HEADLINE) >= 0.85
