"""A teacher writes rows only where the configuration says so, and again only for what changed."""

import json

import pytest

import bike_shop
from project import Project
from teacher import serve

ARTICLES = {
    "returns.md": "# Returns\n\nA bicycle can be returned within 14 days if it was not ridden.\n",
    "faq/service.md": "# Service\n\nA service costs 45 euros and takes two working days here.\n",
}
OWN = {"id": "own", "message": "Where are you?", "expect": {"answer": ["Bergen"]}}
UNITS = {f"synthesize_article {name}" for name in ARTICLES}
UNITS |= {f"judge_candidates articles/{name}" for name in ARTICLES}

SAYINGS = {
    "polite": "Could you kindly explain the rule for a {}?",
    "eight words": "{} rules please",
    "two short": "I came by yesterday. What holds for a {} here?",
    "informal": "So the {}, how does that go?",
}


def scripted(prompt, _):
    if "Write only yes or no" in prompt:
        return "yes"
    about, fact = ("return", "14 days") if "14 days" in prompt else ("service", "45 euros")
    if "write only NONE" in prompt:
        return "NONE" if "colour" in prompt else f"It is {fact}."
    if "does NOT answer" in prompt:
        return f"Which colour has your {about} form?"
    return next(said for style, said in SAYINGS.items() if style in prompt).format(about)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with articles and one task, and nothing else; a function lays a teacher over it."""
    project = Project.new(tmp_path_factory.mktemp("synthesis") / "project")
    folder = project.folder / "data/mine"
    for name, text in ARTICLES.items():
        (folder / "kb" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "kb" / name).write_text(text)
    (folder / "tasks.jsonl").write_text(json.dumps(OWN) + "\n")
    project.overlay(
        dataset="mine",
        datasets={"mine": {"path": "data/mine"}},
        bases={"small": {"dataset": "food-delivery"}},
        cache={"folder": "cache"},
    )
    return project


def taught(shop, url, folder, **more):
    teacher = {"url": url, "model": "m"}
    given = {"teacher": teacher, "index": "minilm", "tasks": 2, **more}
    return shop.copy(folder).overlay(datasets={"mine": {"synthesize": given}})


def test_without_a_teacher_no_job_asks_one(shop):
    status, said = shop.snakemake("-n", "results/mine/prepared/sft.train.jsonl")
    assert status != 0 and "found no sft in data/mine" in said
    status, said = shop.snakemake("-n", "results/mine/synthetic/sft.jsonl")
    assert status != 0 and "dataset mine: has no `synthesize`" in said
    assert shop.planned("results/mine/prepared/tasks.jsonl") == {"prepare_tasks"}


def test_an_edited_article_alone_is_asked_about_again(shop, tmp_path):
    with serve(scripted) as (url, asked):
        project = taught(shop, url, tmp_path / "project", judge={})
        target = "results/mine/prepared/sft.train.jsonl"
        tasks = "results/mine/prepared/tasks.jsonl"
        index = {f"{rule} minilm" for rule in ("chunk_kb", "embed_chunks", "convert_encoder")}
        ends = {"synthesize_rows", "prepare_sft", "prepare_tasks"}
        assert project.run(target, tasks) == UNITS | index | ends
        rows = (project.folder / "results/mine/synthetic/sft.jsonl").read_text().splitlines()
        assert len(rows) == 8
        found = (project.folder / tasks).read_text().splitlines()
        assert [json.loads(row)["kind"] for row in found] == ["task", *2 * ["synthetic_question"]]
        report = json.loads((project.folder / "results/mine/synthetic/report.json").read_text())
        assert report["teacher"]["url"] == url and report["dropped"] == {}
        assert report["judge"]["url"] == url and report["judged"] == {"yes": 10}
        assert len(report["prompts"]) == 7 + 3

        before = len(asked)
        assert project.planned(target, tasks) == set()
        project.edit("data/mine/kb/returns.md", "not ridden", "never ridden")
        changed = {unit for unit in UNITS if unit.endswith("returns.md")}
        changed |= {"chunk_kb minilm", "embed_chunks minilm"}
        assert project.run(target, tasks) == changed | ends
        assert {"never ridden" in body["messages"][0]["content"] for body in asked[before:]} == {
            True
        }

        # The teacher does not see the texts of the agent.
        project.edit("resources/synthesis/replies.yaml", "The handbook says it.", "Here it is.")
        assert project.planned(target, tasks) == ends

        # The judge does not change what the teacher wrote.
        project.edit("resources/synthesis/judge_question.jinja", "Write only", "Reply only")
        judged = {unit for unit in UNITS if unit.startswith("judge")}
        assert project.planned(target, tasks) == judged | ends


def test_conversations_ask_about_the_tools_alone(shop, tmp_path):
    project = taught(shop, "http://127.0.0.1:9/v1", tmp_path / "project", conversations=2, judge={})
    folder = project.folder / "data/mine"
    (folder / "tools.yaml").write_text(bike_shop.TOOLS)
    (folder / "database.sql").write_text(bike_shop.DATABASE)
    planned = project.planned("results/mine/synthetic/tasks.jsonl")
    assert {"synthesize_requests", "judge_candidates requests"} | UNITS <= planned
