"""A dataset needs only the parts that something uses; all missing parts are reported at once."""

import json

import pytest

import bike_shop
from new_dataset import new
from overlays import LABELLED, OVERLAYS, QUESTION, write
from project import ROOT, Project


@pytest.mark.parametrize("name", OVERLAYS)
def test_ready_overlay_plans_on_the_files_that_it_names(tmp_path, name):
    files, planned, left_out = OVERLAYS[name]
    project = Project.new(tmp_path, ROOT / "config" / f"{name}.yaml")
    write(tmp_path / "data/mine", files)
    text = (ROOT / "config" / f"{name}.yaml").read_text()
    assert all(f"data/mine/{file.split('/')[0]}" in text for file in files)
    found = project.planned("results/agent_eval.json")
    assert planned <= found
    assert not left_out & {job.split()[0] for job in found}


def test_all_missing_parts_are_named_with_what_needs_them(tmp_path):
    write(tmp_path / "data/mine", {"sft.jsonl": LABELLED, "tasks.jsonl": [QUESTION]})
    project = Project.new(tmp_path).overlay(
        dataset="mine", datasets={"mine": {"path": "data/mine"}}
    )
    status, said = project.snakemake("-n", "results/agent_eval.json")
    assert status != 0
    assert "found no corpus in data/mine, expected data/mine/corpus/*.txt or" in said
    assert "it pretrains bases.small; a base can learn from another dataset" in said
    assert "found no kb in data/mine, expected data/mine/kb/*.md or kb/*.txt" in said
    assert "it is searched by indexes.minilm; set `index: null`" in said
    assert "config/classify.yaml" in said
    assert "found no sft" not in said and "found no tasks" not in said
    assert "these parts are missing too" in said and "tools.yaml: what the agent may do" in said
    assert "sft.jsonl: " not in said and "kb/: " not in said


def test_plan_tells_what_the_missing_parts_would_add(tmp_path):
    """Also of a new dataset, where a needed part is missing."""
    documents = tmp_path / "documents"
    write(documents, {"hours.md": bike_shop.ARTICLES["opening.md"]})
    project = Project.new(tmp_path / "project")
    new("mine", documents, project.folder)
    project.overlays.append(project.folder / "config/mine.yaml")
    status, said = project._python("workflow/scripts/show_plan.py", "results/agent_eval.json",
                                   "--configfile", "config/mine.yaml")  # fmt: skip
    assert status != 0 and "expected data/mine/tasks.jsonl: it compares the systems" in said
    assert "sft.jsonl: training conversations; with them an adapter is trained" in said
    write(project.folder / "data/mine", {"tasks.jsonl": [QUESTION]})
    plan = project.plan("results/agent_eval.json")
    told = plan.split("The dataset has no\n")[1].splitlines()
    assert [line.split(":")[0].strip() for line in told] == [
        "tickets/", "sft.jsonl", "corpus/", "tools.yaml", "database.sql", "preferences.jsonl",
    ]  # fmt: skip
    assert "chunk_kb minilm" in plan


def test_tickets_become_corpus_and_held_out_messages(tmp_path):
    rows = [{"thread": n, "body": f"Where is my parcel {n}? " + f"w{n} " * 9} for n in range(40)]
    write(tmp_path / "data/mine", {"tickets/2025/a.jsonl": rows, "corpus/b.txt": "A text.\n"})
    entry = {"path": "data/mine", "tickets": {"columns": {"message": "body"}}}
    # The evaluated dataset is another one: this one has no tasks yet.
    project = Project.new(tmp_path).overlay(datasets={"mine": entry})
    corpus = "results/mine/prepared/corpus.train.jsonl"
    held_out = "results/mine/prepared/tickets.held_out.jsonl"
    assert project.run(corpus, held_out) == {"prepare_tickets", "prepare_corpus"}
    kept = [json.loads(line)["message"] for line in (tmp_path / held_out).read_text().splitlines()]
    halves = corpus, corpus.replace("train", "validation")
    texts = "".join((tmp_path / half).read_text() for half in halves)
    assert kept and not any(message in texts for message in kept)
    entry["tickets"]["held_out"] = 0.5
    project = project.overlay(datasets={"mine": entry})
    assert project.planned(corpus) == {"prepare_tickets", "prepare_corpus"}
