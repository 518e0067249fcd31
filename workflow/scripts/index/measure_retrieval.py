"""Measures how well the knowledge base is searched, with the exact search as oracle."""

import json

from specialist.core.errors import UserError

DEPTH = 10  # ranks looked at; a right article further down counts as not found
SMALL = 1000  # chunks up to which Chroma must find exactly what the exact search finds
LARGE_LIMIT = 0.05  # share of queries that may differ in a larger store, which is approximate
TIE = 1e-5  # difference in similarity below which two chunks are equally near
# Cosine distance between the two runtimes' vectors of a chunk: 1e-6 is usual, 0.003 where a
# text is longer than the model reads (llama.cpp cuts off its end token), 0.1 a wrong pooling.
ENCODER_LIMIT = 0.01
SAMPLE = 256  # chunks compared for it


def measure_retrieval(
    queries, chunks, embeddings, settings, store, encoder, shift, retrieval, gate, *, threads
):
    """Search with the message of each task for the articles that the task names.

    Args:
        queries: JSONL of tasks: "message", and "kb", the file names of the articles that
            answer it; a task without "kb" only counts for the agreement.
        chunks: JSONL of chunk_kb.
        embeddings: .npy of embed_chunks.
        settings: JSON of embed_chunks.
        store: zip of build_chroma.
        encoder: GGUF of convert_encoder that embeds the messages, or an empty list to
            embed them by sentence-transformers.
        shift: .npy of learn_queries, or an empty list.
        retrieval: JSON to write: recall_at_1 and recall_at_3 (mean share of a task's
            articles among the sources of the first chunks), mrr (mean reciprocal rank of
            the first right chunk, 0 if not among the first 10), all null without a task
            that names articles; n (tasks that do); agreement_with_exact_search (share of
            all messages whose first 3 chunks are as near as the exact search's).
        gate: JSON to write: retrieval_disagreement (share of messages for which the two
            searches differ) and encoder_distance (largest cosine distance between a
            chunk's embedding and its vector from the encoder in use), each with value,
            limit and passed.
        threads: CPU threads for sentence-transformers.

    Raises:
        UserError: a task names an article that is not there, or a gate failed.
    """
    import numpy as np

    from specialist.core.gates import check
    from specialist.rag.retrieval import (
        Searcher,
        embedded_text,
        read_chunks,
        recall,
        reciprocal_rank,
    )

    records, vectors = read_chunks(chunks), np.load(embeddings, allow_pickle=False)
    tasks = _tasks(queries, {record["source"] for record in records})
    messages = [task["message"] for task in tasks]
    with Searcher(
        store, settings, encoder or None, shift or None, top_k=DEPTH, threads=threads
    ) as searcher:
        found = searcher.search_all(messages)
        similarity = searcher.embed(messages) @ vectors.T
        sample = slice(None, None, -(-len(records) // SAMPLE))
        texts = [embedded_text(record) for record in records[sample]]
        cosines = (searcher.encoder.documents(texts) * vectors[sample]).sum(axis=1)
    row = {record["id"]: i for i, record in enumerate(records)}
    nearest = -np.sort(-similarity, axis=1)
    agreed = [
        np.allclose([score[row[hit["id"]]] for hit in hits[:3]], best[:3], rtol=0, atol=TIE)
        for hits, score, best in zip(found, similarity, nearest, strict=True)
    ]
    judged = [
        ([hit["source"] for hit in hits], set(task["kb"]))
        for task, hits in zip(tasks, found, strict=True)
        if task.get("kb")
    ]
    result = {
        "recall_at_1": _mean(recall(sources[:1], right) for sources, right in judged),
        "recall_at_3": _mean(recall(sources[:3], right) for sources, right in judged),
        "mrr": _mean(reciprocal_rank(sources, right) for sources, right in judged),
        "n": len(judged),
        "agreement_with_exact_search": _mean(agreed),
    }
    gates = check(
        "Chroma against exact search",
        "The store does not hold the embeddings it was built from, or finds them badly.",
        retrieval_disagreement=(
            1 - result["agreement_with_exact_search"],
            0 if len(records) <= SMALL else LARGE_LIMIT,
        ),
    ) | check(
        "the embedding model under sentence-transformers against llama.cpp",
        "llama.cpp does not run this model faithfully: set `encoder: sentence-transformers` "
        "for the index.",
        encoder_distance=(float(1 - cosines.min()), ENCODER_LIMIT),
    )
    retrieval.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    gate.write_text(json.dumps(gates, indent=1, sort_keys=True) + "\n")


def _tasks(path, sources):
    import difflib

    with open(path, encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines if line.strip()]
    if not tasks:
        raise UserError(f"{path}: no tasks to measure the retrieval on")
    for task in tasks:
        for name in task.get("kb") or ():
            if name not in sources:
                near = difflib.get_close_matches(name, sources, 1)
                raise UserError(
                    f"{path}, task {task['id']}, field kb: no article '{name}' in the knowledge "
                    f"base{f'; did you mean {near[0]!r}?' if near else ''}"
                )
    return tasks


def _mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_retrieval, snakemake)
