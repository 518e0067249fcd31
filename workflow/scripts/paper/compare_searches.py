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
    import numpy as np

    from specialist.core.errors import UserError
    from specialist.core.text import read_rows
    from specialist.rag.embedding import open_encoder
    from specialist.rag.index_files import Chunks, nearest
    from specialist.rag.retrieval import open_shift, recall, reciprocal_rank, shifted

    asked = [task for task in read_rows(tasks) if task.get("kb")]
    if not asked:
        raise UserError(f"{tasks}: no task names an article under kb")
    messages, records = [task["message"] for task in asked], Chunks(chunks)
    with open_encoder(settings, encoder or None, threads) as opened:
        queries = opened.queries(messages)
    ranked = {EMBEDDED: nearest(embeddings, queries, DEPTH)[1]}
    if shift:
        moved = shifted(queries, open_shift(shift, queries.shape[1]))
        ranked[LEARNED] = nearest(embeddings, moved, DEPTH)[1]
    random = np.random.default_rng(seed)
    ranked[WORDS] = [*map(_first, _bm25(records, messages))]
    ranked[CHANCE] = [_first(random.random(len(records))) for _ in asked]
    found = {}
    for method in [method for method in METHODS if method in ranked]:
        judged = {
            task["id"]: ([records[number]["source"] for number in numbers], set(task["kb"]))
            for task, numbers in zip(asked, ranked[method], strict=True)
        }
        found[method] = {
            "recall_at_1": {name: recall(row[:1], right) for name, (row, right) in judged.items()},
            "recall_at_3": {name: recall(row[:3], right) for name, (row, right) in judged.items()},
            "mrr": {name: reciprocal_rank(row, right) for name, (row, right) in judged.items()},
        }
    searches.write_text(json.dumps(found, indent=1) + "\n")


def _first(scores):
    """Numbers of the best chunks, best first."""
    return (-scores).argsort(kind="stable")[:DEPTH]


def _bm25(records, queries):
    """Yield the scores of all chunks for each query."""
    import bm25s

    from specialist.rag.index_files import embedded_text

    def words(texts, ids):
        return bm25s.tokenize(texts, stopwords="en", return_ids=ids, show_progress=False)

    model = bm25s.BM25()
    model.index(words([*map(embedded_text, records)], ids=True), show_progress=False)
    return map(model.get_scores, words(queries, ids=False))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(compare_searches, snakemake)
