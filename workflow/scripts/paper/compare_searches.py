"""Compares the search in an index with the usual one by words, and with chance."""

import json

METHODS = LEARNED, EMBEDDED, WORDS, CHANCE = "embedding, learned", "embedding", "BM25", "random"
DEPTH = 10  # ranks looked at, as in measure_retrieval


def compare_searches(
    tasks, chunks, embeddings, settings, encoder, shift, searches, *, seed, threads
):
    """Search with the message of each task for the articles that it names, by each method.

    Args:
        tasks: JSONL of tasks: "id", "message", and "kb", the file names of the articles that
            answer it; a task without them does not count.
        chunks: JSONL of chunk_kb.
        embeddings, settings: .npy and JSON of embed_chunks.
        encoder: GGUF of convert_encoder, or an empty list for sentence-transformers.
        shift: .npy of learn_queries, or an empty list: there is no "embedding, learned" then.
        searches: JSON to write: method -> metric -> {task: value}; the metrics are those of
            measure_retrieval.
        seed: of the random order.
        threads: CPU threads.

    Raises:
        UserError: no task names an article.
    """
    import bm25s
    import numpy as np

    from specialist.core.errors import UserError
    from specialist.core.text import read_rows
    from specialist.rag.embedding import open_encoder
    from specialist.rag.retrieval import (
        embedded_text,
        read_chunks,
        recall,
        reciprocal_rank,
        shifted,
    )

    asked = [task for task in read_rows(tasks) if task.get("kb")]
    if not asked:
        raise UserError(f"{tasks}: no task names an article under kb")
    messages, records = [task["message"] for task in asked], read_chunks(chunks)
    vectors = np.load(embeddings, allow_pickle=False)
    with open_encoder(settings, encoder or None, threads) as opened:
        queries = opened.queries(messages)
    scores = {EMBEDDED: queries @ vectors.T}
    if shift:
        scores[LEARNED] = shifted(queries, np.load(shift, allow_pickle=False)) @ vectors.T
    scores[WORDS] = _bm25(bm25s, [embedded_text(record) for record in records], messages)
    scores[CHANCE] = np.random.default_rng(seed).random((len(asked), len(records)))
    sources = np.array([record["source"] for record in records])
    found = {}
    for method in [method for method in METHODS if method in scores]:
        ranked = sources[np.argsort(-scores[method], axis=1, kind="stable")[:, :DEPTH]]
        judged = {
            task["id"]: (row.tolist(), set(task["kb"]))
            for task, row in zip(asked, ranked, strict=True)
        }
        found[method] = {
            "recall_at_1": {name: recall(row[:1], right) for name, (row, right) in judged.items()},
            "recall_at_3": {name: recall(row[:3], right) for name, (row, right) in judged.items()},
            "mrr": {name: reciprocal_rank(row, right) for name, (row, right) in judged.items()},
        }
    searches.write_text(json.dumps(found, indent=1) + "\n")


def _bm25(bm25s, documents, queries):
    """Scores of the documents for each query: [queries, documents]."""
    import numpy as np

    def words(texts, ids):
        return bm25s.tokenize(texts, stopwords="en", return_ids=ids, show_progress=False)

    model = bm25s.BM25()
    model.index(words(documents, ids=True), show_progress=False)
    return np.stack([model.get_scores(query) for query in words(queries, ids=False)])


if "snakemake" in globals():
    from specialist.engine.step import run

    run(compare_searches, snakemake)
