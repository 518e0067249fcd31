"""An index in shards: exact sets of jobs, and the same answers as those of one store."""

import json

import pytest

import bike_shop
import overlays
from project import ROOT, Project

KB = {
    **bike_shop.ARTICLES,
    "parking.md": "# Parking\n\nBikes stand in the yard behind the mill, at two euros a day.\n",
    "faq/tours.md": "# Tours\n\nGuided tours start at the gate, on every second Sunday.\n",
}
SECOND = {"parking.md"}  # in shard 1-of-2
PARTS = ("0-of-2", "1-of-2")
EVALUATED = {"measure_retrieval minilm", "run_agent oracle"}
TARGETS = ("results/mine/index/minilm/retrieval.json", "results/mine/agent/oracle/traces.jsonl")


def in_shard(*shards, words=True):
    """Jobs that make the files of some shards, and what follows from them."""
    rules = ["chunk_shard", "embed_shard", "build_shard", *["index_words"] * words]
    return {f"{rule} minilm {shard}" for rule in rules for shard in shards} | {
        "join_shards minilm", *["weigh_words minilm"] * words, *EVALUATED,
    }  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A project with an index of four articles in two shards that has run."""
    folder = tmp_path_factory.mktemp("shards")
    project = Project.new(folder, ROOT / "config/search-only.yaml").overlay(
        indexes={"minilm": {"shards": 2, "search": ["dense", "bm25"]}},
        systems={"oracle": {"policy": "scripted", "index": "minilm", "tools": False}},
        cache={"folder": "cache"},
    )
    tasks = [bike_shop.ASK | {"session": {}}]
    files = {f"kb/{name}": text for name, text in KB.items()} | {"tasks.jsonl": tasks}
    overlays.write(folder / "data/mine", files)
    project.ran = project.run(*TARGETS)
    return project


def test_every_shard_has_jobs_of_its_own(shards):
    assert shards.ran == in_shard(*PARTS) | {"prepare_tasks", "convert_encoder minilm"}
    folder = shards.folder / "results/mine/index/minilm"
    found = []
    for part in PARTS:
        rows = (folder / "shards" / part / "chunks.jsonl").read_text()
        found.append({json.loads(row)["source"] for row in rows.splitlines()})
    assert found == [set(KB) - SECOND, SECOND]
    traces = (shards.folder / TARGETS[1]).read_text()
    assert "closes at six" in traces


def test_nothing_runs_again_and_all_is_verified(shards):
    assert list((shards.folder / "results").rglob("chroma.zip.unpacked/*"))
    assert shards.planned(*TARGETS) == set()
    for target in TARGETS:
        status, said = shards.verify(target)
        assert status == 0, said


@pytest.mark.parametrize(("name", "shard"), [("faq/tours.md", "0-of-2"), ("parking.md", "1-of-2")])
def test_an_edited_document_embeds_its_shard_alone(shards, fresh_copy, name, shard):
    project = fresh_copy(shards)
    project.edit(f"data/mine/kb/{name}", ".\n", ", as always.\n")
    assert project.planned(*TARGETS) == in_shard(shard)


def test_one_store_finds_the_same(shards, fresh_copy):
    project = fresh_copy(shards)
    before = project.comparable()
    ran = project.overlay(indexes={"minilm": {"shards": None}}).run(*TARGETS)
    rules = ("chunk_kb", "embed_chunks", "build_chroma", "build_bm25")
    assert ran == {f"{rule} minilm" for rule in rules} | EVALUATED
    after = project.comparable()
    assert after[TARGETS[1]] == before[TARGETS[1]]
    for found in (before[TARGETS[0]], after[TARGETS[0]]):
        [question] = found.pop("questions")
        assert question["found"][0]["id"] == "opening.md#0"
    assert after[TARGETS[0]] == before[TARGETS[0]]


def test_a_release_of_an_index_in_shards_refuses_bm25(shards):
    project = Project(shards.folder, *shards.overlays).overlay(
        systems={"oracle": {"policy": None, "base": "small", "quantization": "F16"}}
    )
    status, said = project.snakemake("--dry-run", "results/release/oracle")
    assert status != 0 and "indexes.minilm.search: found bm25 in an index with shards" in said
