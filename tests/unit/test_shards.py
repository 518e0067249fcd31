"""An index in shards finds what one store finds, and an edited document changes its shard only."""

import json
import math
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from build_chroma import build_chroma
from chunk_kb import chunk_kb
from chunk_shard import chunk_shard
from index_words import index_words
from join_shards import join_shards
from weigh_words import weigh_words

from specialist.config.paths import Paths
from specialist.config.paths.indexes import shard_of
from specialist.core.errors import UserError
from specialist.rag import retrieval, shards, unpacked
from specialist.rag.index_files import Chunks, nearest
from specialist.rag.ranking import How
from specialist.rag.retrieval import ExactSearcher, Searcher
from specialist.rag.shard_words import ShardPart, ShardWords
from specialist.rag.words import Words
from test_search import MINILM, QUERIES, WORDS, Fixed

COUNT, PARTS = 90, 3


def write_part(folder, rows, vectors):
    """The files of one shard."""
    folder.mkdir()
    part = SimpleNamespace(
        chunks=folder / "chunks.jsonl", embeddings=folder / "embeddings.npy",
        settings=folder / "embeddings.json", store=folder / "chroma.zip",
    )  # fmt: skip
    part.chunks.write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save(part.embeddings, vectors)
    made = {"model": MINILM, "dimension": 8, "max_tokens": 64, "chunks": len(rows)}
    made |= {"prompts": {}, "truncated": 1, "weights_sha256": "0"}
    part.settings.write_text(json.dumps(made))
    build_chroma(part.chunks, part.embeddings, part.store)
    part.words = folder / "bm25.zip"
    index_words(part.chunks, part.words)
    return part


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index of 90 chunks in three shards and an empty one, and the same in one store."""
    folder = tmp_path_factory.mktemp("shards")
    draw = np.random.default_rng(1)
    rows = [[] for _ in range(PARTS)]
    for number in range(COUNT):
        source = f"{number // 3:02}.md"
        rows[shard_of(source, PARTS)].append(
            {"id": f"{source}#{number % 3}", "source": source, "title": f"Topic {number // 3}",
             "text": " ".join(draw.choice(WORDS, 6))}
        )  # fmt: skip
    assert all(rows)
    rows.insert(1, [])
    vectors = [
        Fixed().queries([row["text"] + row["id"] for row in part]).reshape(-1, 8) if part
        else np.zeros((0, 8), np.float32) for part in rows
    ]  # fmt: skip
    made = SimpleNamespace(
        parts=[
            write_part(folder / str(number), rows[number], vectors[number])
            for number in range(len(rows))
        ],
        chunks=folder / "chunks.jsonl", embeddings=folder / "embeddings.npy",
        settings=folder / "embeddings.json", store=folder / "chroma.zip", rows=sum(rows, []),
        vectors=np.concatenate(vectors),
    )  # fmt: skip
    join(made.parts, made)
    build_chroma(made.chunks, made.embeddings, made.store)
    made.words, made.share = folder / "bm25.zip", folder / "bm25.json"
    Words.of(Chunks(made.chunks)).save(made.words)
    weigh_words([part.words for part in made.parts], made.chunks, made.embeddings, made.settings,
                [], [], [], made.share, learn_from=0, threads=1)  # fmt: skip
    return made


def join(parts, made):
    given = (
        [getattr(part, name) for part in parts] for name in ("chunks", "embeddings", "settings")
    )
    join_shards(*given, made.chunks, made.embeddings, made.settings)


def opened(index, kind, how=None, top_k=5):
    files, one = (index.settings, None, None), kind is not shards.ShardSearcher
    words = index.words if one else [index.share, *(part.words for part in index.parts)]
    words = words if (how or {}).get("bm25") else None
    if kind is ExactSearcher:
        found = ExactSearcher(index.chunks, index.embeddings, *files, words, how=how, top_k=top_k)
    else:
        store = index.store if one else [part.store for part in index.parts]
        found = shards.open_search(store, *files, words, how=how, top_k=top_k)
        assert type(found) is kind
    found.encoder = Fixed()
    return found


def test_joined_files_are_those_of_one_index(index):
    assert list(Chunks(index.chunks)) == index.rows
    assert np.array_equal(np.load(index.embeddings), index.vectors)
    made = json.loads(index.settings.read_text())
    assert (made["chunks"], made["truncated"], made["dimension"]) == (COUNT, PARTS + 1, 8)


@pytest.mark.parametrize(
    "how", [{}, {"sentences": False}, {"articles": True}, {"bm25": True, "dense": False}], ids=str
)
@pytest.mark.parametrize("top_k", [5, COUNT + 9])
def test_shards_find_what_one_store_and_the_exact_search_find(index, how, top_k):
    kinds = (shards.ShardSearcher, Searcher, ExactSearcher)
    found = []
    for kind in kinds:
        with opened(index, kind, how, top_k) as searcher:
            found.append(searcher.search_all(QUERIES))
    for mine, one, exact in zip(*found, strict=True):
        scores = [hit["score"] for hit in exact]
        for hits in (mine, one):
            assert [hit["score"] for hit in hits] == pytest.approx(scores, abs=1e-5)
            assert contents(hits) == contents(exact)
    most = 30 if how.get("articles") else COUNT
    assert len(found[0][0]) == min(top_k, most) or "bm25" in how


def contents(hits):
    """The hits without their scores, and without those that are as good as the last."""
    least = hits[-1]["score"] + 1e-4 if hits else 0
    kept = [hit for hit in hits if hit["score"] > least]
    return {(hit["id"], hit["source"], hit["title"], hit["text"]) for hit in kept}


def test_old_queries_are_forgotten(index, monkeypatch):
    monkeypatch.setattr(retrieval, "REMEMBERED", 20)
    with opened(index, shards.ShardSearcher, {"sentences": False}) as searcher:
        first = searcher.search("query 0")
        for number in range(100):
            searcher.search(f"query {number}")
            assert len(searcher._vectors) == len(searcher.seconds) <= 21
        assert searcher.search("query 0") == first


def test_fusion_in_shards(index):
    """Chunks that only words found come from their shard too."""
    with opened(index, shards.ShardSearcher, {"bm25": True}, 20) as searcher:
        hits = searcher.search(QUERIES[0])
        texts = {row["id"]: row["text"] for row in index.rows}
        assert len(hits) == 20 and all(texts[hit["id"]] == hit["text"] for hit in hits)
        either = set()
        for how in ({}, {"bm25": True, "dense": False}):
            either |= {hit["id"] for hit in searcher.search_all(QUERIES[:1], 50, How(**how))[0]}
        assert {hit["id"] for hit in hits} <= either


def test_rare_words_weigh_what_they_do_in_one_index(tmp_path):
    """A word that only one shard has is as rare there as in the whole index."""
    texts = [["bag soup"] * 10 + ["tandem bag"] * 10, ["bag soup"] * 19 + ["late soup"]]
    parts, every = [], []
    for name, part in zip("ab", texts, strict=True):
        rows = [{"id": f"{name}{i}", "source": name, "title": "", "text": text}
                for i, text in enumerate(part)]  # fmt: skip
        ShardPart.of(rows).save(tmp_path / name)
        parts.append(tmp_path / name)
        every += rows
    whole, divided = Words.of(every), ShardWords(parts, 0.5)
    assert [divided.ids[number] for number in range(40)] == whole.ids
    for query in ("tandem bag", "late", "soup soup late", "tandem late bag"):
        for mine, right in zip(divided.search(query, 40), whole.search(query, 40), strict=True):
            assert mine == pytest.approx(right, rel=1e-4)
    assert divided.search("zzz", 5) == whole.search("zzz", 5) == ([], [])
    (tmp_path / "share.json").write_text("{}")
    with pytest.raises(UserError, match=r"share\.json: expected a share of BM25"):
        ShardWords.open(tmp_path / "share.json", *parts)


def test_words_of_a_shard_have_the_same_bytes_in_each_process(index, tmp_path):
    code = (
        "import sys; from pathlib import Path; from specialist.rag.index_files import Chunks; "
        "from specialist.rag.shard_words import ShardPart; "
        "ShardPart.of(Chunks(sys.argv[1])).save(Path(sys.argv[2]))"
    )
    for seed in "12":
        subprocess.run(
            [sys.executable, "-c", code, index.parts[0].chunks, tmp_path / seed], check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert (tmp_path / seed).read_bytes() == index.parts[0].words.read_bytes()


def test_large_shards_agree_with_one_graph(tmp_path):
    """HNSW is approximate; the shards find at least as many of the true neighbours as one store."""
    draw, count, size = np.random.default_rng(3), 3000, 16
    vectors = draw.standard_normal((count, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "all.npy", vectors)
    rows = [{"id": f"{i}#0", "source": f"{i}", "title": "t", "text": "x"} for i in range(count)]
    (tmp_path / "settings.json").write_text(json.dumps(
        {"model": MINILM, "dimension": size, "max_tokens": 64, "prompts": {}, "chunks": count}
    ))  # fmt: skip
    stores = []
    for name, chosen in (
        ("one", range(count)),
        ("a", range(0, count, 2)),
        ("b", range(1, count, 2)),
    ):
        text = "".join(json.dumps(rows[i]) + "\n" for i in chosen)
        (tmp_path / f"{name}.jsonl").write_text(text)
        np.save(tmp_path / f"{name}.npy", vectors[list(chosen)])
        stores.append(tmp_path / f"{name}.zip")
        build_chroma(tmp_path / f"{name}.jsonl", tmp_path / f"{name}.npy", stores[-1])
    queries = draw.standard_normal((50, size)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, numbers = nearest(tmp_path / "all.npy", queries, 10)
    shares = []
    for store in (stores[0], stores[1:]):
        with shards.open_search(store, tmp_path / "settings.json", top_k=10) as searcher:
            found = [{id_ for id_, _ in row} for row in searcher._nearest(queries, 10)]
        right = [{f"{i}#0" for i in row} for row in numbers]
        shares.append(sum(len(a & b) for a, b in zip(found, right, strict=True)) / 500)
    assert shares[1] >= shares[0] - 0.01 and shares[1] > 0.95


def test_a_store_is_unpacked_once_and_shared(index, tmp_path):
    store = shutil.copy(index.parts[0].store, tmp_path / "chroma.zip")
    beside = tmp_path / f"chroma.zip{unpacked.SUFFIX}"
    (beside / unpacked.UNFINISHED).mkdir(parents=True)  # of a killed process
    with unpacked.collection(store) as first:
        [folder] = beside.iterdir()
        begun = folder.stat().st_ino
        with unpacked.collection(store) as second:
            assert first.count() == second.count() > 0
            assert [path.stat().st_ino for path in beside.iterdir()] == [begun]
            # Another zip has a folder of its own; the one in use stays until nobody has it open.
            shutil.copy(index.parts[2].store, tmp_path / "new.zip")
            os.replace(tmp_path / "new.zip", store)
            with unpacked.collection(store) as third:
                assert third.count() != first.count()
                assert len(list(beside.iterdir())) == 2
    with unpacked.collection(store):
        assert len(list(beside.iterdir())) == 1 and not folder.exists()


def test_a_private_copy_where_the_folder_cannot_be_used(index, tmp_path):
    store = shutil.copy(index.parts[0].store, tmp_path / "chroma.zip")
    (tmp_path / f"chroma.zip{unpacked.SUFFIX}").touch()  # a file, so no folder can be made
    with unpacked.collection(store) as found:
        assert found.count() == len(list(Chunks(index.parts[0].chunks)))
    assert {path.name for path in tmp_path.iterdir()} == {
        "chroma.zip", f"chroma.zip{unpacked.SUFFIX}",
    }  # fmt: skip


def test_the_zip_of_a_shard_stays_as_it_is(index):
    before = [part.store.read_bytes() for part in index.parts]
    with opened(index, shards.ShardSearcher) as searcher:
        searcher.search(QUERIES[0])
    assert [part.store.read_bytes() for part in index.parts] == before


def test_a_damaged_shard_is_named(index, tmp_path):
    broken = tmp_path / "chroma.zip"
    broken.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"chroma\.zip: the store is damaged"):
        shards.open_search([index.parts[0].store, broken], index.settings)
    assert not list((tmp_path / f"chroma.zip{unpacked.SUFFIX}").iterdir())


def test_shards_of_another_model_are_refused(index, tmp_path):
    other = json.loads(index.parts[2].settings.read_text()) | {"weights_sha256": "1"}
    (tmp_path / "other.json").write_text(json.dumps(other))
    parts = [
        *index.parts[:2],
        SimpleNamespace(**vars(index.parts[2]) | {"settings": tmp_path / "other.json"}),
    ]
    made = SimpleNamespace(
        chunks=tmp_path / "c", embeddings=tmp_path / "e", settings=tmp_path / "s"
    )
    with pytest.raises(UserError, match=r"other\.json: found vectors of .*expected those of"):
        join(parts, made)
    with pytest.raises(UserError, match="no document of the knowledge base is in the index"):
        join([index.parts[1]], made)
    assert not made.chunks.exists()


CHUNKING = {"model": MINILM, "max_words": 20, "max_tokens": 0, "overlap_words": 0}


def test_chunks_of_a_shard(tmp_path):
    """The chunks of its articles; none if no article passes the filter."""
    texts = {"a.md": "---\nlang: en\n---\nOne two.\n", "b.md": "---\nlang: de\n---\nEins zwei.\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "c.html.md").touch()  # a document without a text
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    paths = [tmp_path / name for name in texts]
    chunk_kb(paths, [], whole, sources=list(texts), filter={"lang": "en"}, **CHUNKING)
    chunk_shard(paths[:1], [], part, sources=["a.md"], filter={"lang": "en"}, **CHUNKING)
    assert part.read_bytes() == whole.read_bytes() != b""
    chunk_shard(paths[1:], [], part, sources=["b.md"], filter={"lang": "en"}, **CHUNKING)
    assert part.read_bytes() == b""
    part.unlink()
    chunk_shard([tmp_path / "c.html.md"], [], part, sources=["c.html"], **CHUNKING)
    assert part.read_bytes() == b""
    (tmp_path / "a.md").write_bytes(b"\xff")
    with pytest.raises(UserError, match="not UTF-8"):
        chunk_shard(paths[:1], [], part, sources=["a.md"], **CHUNKING)


def test_documents_are_spread_by_their_names():
    names = [f"folder/page {number}.md" for number in range(10_000)]
    counts = np.bincount([shard_of(name, 10) for name in names])
    assert len(counts) == 10 and abs(counts - 1000).max() < 5 * math.sqrt(1000)
    # Other shards would embed everything again.
    assert [shard_of(name, 10) for name in ("a.md", "b.md", "faq/refunds.md")] == [3, 4, 9]


def test_files_of_an_index_in_shards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "kb"
    folder.mkdir()
    for name in ("a.md", "b.md", "c.md"):
        (folder / name).write_text("text")
    config = {
        "datasets": {"own": {"path": str(tmp_path)}},
        "indexes": {"one": {"dataset": "own"}, "many": {"dataset": "own", "shards": 10}},
    }
    found = Paths(config).indexes
    assert found.shards("many") == {
        f"{number}-of-10": {name: str(folder / name)}
        for number, name in sorted((shard_of(name, 10), name) for name in ("a.md", "b.md", "c.md"))
    }
    assert found.stores("one") == "results/own/index/one/chroma.zip"
    assert found.stores("many")[0] == "results/own/index/many/shards/3-of-10/chroma.zip"
    assert (found.in_shards(), found.in_shards(False)) == ("many", "one")
