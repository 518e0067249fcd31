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
BATCH = 500  # messages searched for at a time
MOST_QUESTIONS, SHOWN, MOST_CHARACTERS = 1000, 3, 200  # what retrieval.json holds of each task


def measure_retrieval(
    queries, chunks, embeddings, settings, store, encoder, shift, retrieval, gate, *, threads
):
    """Search with the message of each task for the articles that the task names.

    Args:
        queries: JSONL of tasks: "message", and "kb", the sources of the articles that
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
            all messages whose first 3 chunks are as near as the exact search's); questions,
            a row for each task that names articles: task (its id), message (the first 200
            characters), expected (sources), found (the first 3 chunks: id, title, score),
            rank (of the first right chunk, or null) and hit (whether it is among the 3).
            Of more than 1000 such tasks the rows of misses come before those of hits, both
            in the order of the tasks, and questions_left_out counts the rest.
        gate: JSON to write: retrieval_disagreement (share of messages for which the two
            searches differ) and encoder_distance (largest cosine distance between a
            chunk's embedding and its vector from the encoder in use), each with value,
            limit and passed.
        threads: CPU threads for sentence-transformers.

    Raises:
        UserError: a task names an article that is not there, the files of the index do not
            belong together, or a gate failed.
    """
    from specialist.core.gates import check
    from specialist.rag.index_files import Chunks, check_index
    from specialist.rag.retrieval import Searcher

    records = Chunks(chunks)
    check_index(records, embeddings, settings)
    tasks = _tasks(queries, records)
    with Searcher(
        store, settings, encoder or None, shift or None, top_k=DEPTH, threads=threads
    ) as searcher:
        found, agreed = _search(searcher, tasks, records, embeddings)
        distance = _encoder_distance(searcher.encoder, records, embeddings)
    result = _figures(tasks, found, agreed)
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
        encoder_distance=(distance, ENCODER_LIMIT),
    )
    text = json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False)
    retrieval.write_text(text + "\n", encoding="utf-8")
    gate.write_text(json.dumps(gates, indent=1, sort_keys=True) + "\n")


def _search(searcher, tasks, records, embeddings):
    """The chunks found for each task, without their texts; and whether the exact ones are as near.

    Returns:
        (list of lists of {"id", "source", "title", "score"}, list of bool)
    """
    import numpy as np

    from specialist.rag.index_files import nearest, rows

    messages, found = [task["message"] for task in tasks], []
    for start in range(0, len(messages), BATCH):
        for hits in searcher.search_all(messages[start : start + BATCH]):
            found.append([{key: hit[key] for key in hit if key != "text"} for hit in hits])
    vectors = searcher.embed(messages)
    best, _ = nearest(embeddings, vectors, 3)
    wanted = {hit["id"] for hits in found for hit in hits[:3]}
    row = {record["id"]: i for i, record in enumerate(records) if record["id"] in wanted}
    agreed = []
    for hits, vector, scores in zip(found, vectors, best, strict=True):
        mine = rows(embeddings, [row[hit["id"]] for hit in hits[:3]]) @ vector
        agreed.append(len(mine) == len(scores) and np.allclose(mine, scores, rtol=0, atol=TIE))
    return found, agreed


def _encoder_distance(encoder, records, embeddings):
    """Largest cosine distance between embeddings and what the encoder in use makes of the texts."""
    from specialist.rag.index_files import embedded_text, rows

    numbers = range(0, len(records), -(-len(records) // SAMPLE))
    made = encoder.documents([embedded_text(records[number]) for number in numbers])
    return float(1 - (made * rows(embeddings, numbers)).sum(axis=1).min())


def _figures(tasks, found, agreed):
    """The content of `retrieval`."""
    from specialist.rag.retrieval import recall, reciprocal_rank

    judged = [
        (task, [hit["source"] for hit in hits], set(task["kb"]), hits)
        for task, hits in zip(tasks, found, strict=True)
        if task.get("kb")
    ]
    questions = [_question(*row) for row in judged]
    if len(questions) > MOST_QUESTIONS:
        questions.sort(key=lambda row: row["hit"])
    return {
        "recall_at_1": _mean(recall(sources[:1], right) for _, sources, right, _ in judged),
        "recall_at_3": _mean(recall(sources[:3], right) for _, sources, right, _ in judged),
        "mrr": _mean(reciprocal_rank(sources, right) for _, sources, right, _ in judged),
        "n": len(judged),
        "agreement_with_exact_search": _mean(agreed),
        "questions": questions[:MOST_QUESTIONS],
        "questions_left_out": max(0, len(questions) - MOST_QUESTIONS),
    }


def _question(task, sources, right, hits):
    """What was found for one task."""
    rank = next((i for i, source in enumerate(sources, 1) if source in right), None)
    return {
        "task": task["id"],
        "message": task["message"][:MOST_CHARACTERS],
        "expected": task["kb"],
        "found": [
            {"id": hit["id"], "title": hit["title"], "score": round(hit["score"], 4)}
            for hit in hits[:SHOWN]
        ],
        "rank": rank,
        "hit": rank is not None and rank <= SHOWN,
    }


def _tasks(path, records):
    import difflib

    with open(path, encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines if line.strip()]
    if not tasks:
        raise UserError(f"{path}: no tasks to measure the retrieval on")
    missing = {name for task in tasks for name in task.get("kb") or ()}
    if missing:
        missing -= {record["source"] for record in records if record["source"] in missing}
    for task in tasks:
        for name in task.get("kb") or ():
            if name in missing:
                sources = {record["source"] for record in records}
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
