"""Measures the search in the knowledge base, with the exact search as reference."""

import json

SMALL = 1000  # chunks up to which Chroma must find exactly what the exact search finds
LARGE_LIMIT = 0.05  # share of queries that may differ in a larger store, which is approximate
# Cosine distance between the two runtimes' vectors of a chunk: 1e-6 is usual, 0.003 where a
# text is longer than the model reads (llama.cpp cuts off its end token), 0.1 a wrong pooling.
ENCODER_LIMIT = 0.01


def measure_retrieval(
    queries, chunks, embeddings, settings, store, encoder, shift, words, reranker, retrieval, gate,
    *, search, threads,
):  # fmt: skip
    """Search with the message of each task for the articles that the task names.

    Args:
        queries: JSONL of tasks: "message", and "kb", the sources of the articles that
            answer it; a task without "kb" only counts for the agreement.
        chunks: JSONL of chunk_kb.
        embeddings: .npy of embed_chunks.
        settings: JSON of embed_chunks.
        store: zip of build_chroma, or a list of zips of build_shard.
        encoder: GGUF of convert_encoder that embeds the messages, or an empty list to
            embed them by sentence-transformers.
        shift: .npy of learn_queries, or an empty list.
        words: zip of build_bm25, or an empty list.
        reranker: files of the reranker, if `search` names a folder, so that a change in them
            counts.
        retrieval: JSON to write: recall_at_1 and recall_at_3 (mean share of a task's
            articles among the sources of the first chunks), mrr (mean reciprocal rank of
            the first right chunk, 0 if not among the first 10), all null without a task
            that names articles; n (tasks that do); variant (name of the index's own search);
            variants, a row for each way to search: variant (its name), the measures above,
            ndcg_at_10, and ms_p50 and ms_p95 (median and 95th percentile of the milliseconds
            of one search with the embedding of its query);
            agreement_with_exact_search (share of
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
        search: dict of how the index is searched; see `specialist.rag.ranking.How`.
        threads: CPU threads for sentence-transformers.

    Raises:
        UserError: a task names an article that does not exist, the files of the index do not
            belong together, or a gate failed.
    """
    from specialist.core.gates import check
    from specialist.rag import measure
    from specialist.rag.index_files import Chunks, check_index
    from specialist.rag.shards import open_search
    from specialist.rag.words import Words

    records = Chunks(chunks)
    check_index(records, embeddings, settings)
    tasks = measure.read_tasks(queries, records)
    with open_search(
        store, settings, encoder or None, shift or None, words or None, how=search,
        top_k=measure.DEPTH, threads=threads,
    ) as searcher:  # fmt: skip
        if searcher.words is None and len(records) <= SMALL:
            searcher.words = Words.of(records)  # to compare with
        found = measure.search(searcher, tasks)
        agreed = measure.agreement(searcher, tasks, records, embeddings)
        taken = measure.milliseconds(searcher, tasks)
        distance = measure.encoder_distance(searcher.encoder, records, embeddings)
    result = measure.figures(tasks, found, agreed, taken)
    gates = check(
        "Chroma against exact search",
        "The store does not contain its embeddings, or does not find them.",
        retrieval_disagreement=(
            1 - result["agreement_with_exact_search"],
            0 if len(records) <= SMALL else LARGE_LIMIT,
        ),
    ) | check(
        "the embedding model under sentence-transformers against llama.cpp",
        "llama.cpp computes other vectors with this model: set `encoder: sentence-transformers` "
        "for the index.",
        encoder_distance=(distance, ENCODER_LIMIT),
    )
    text = json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False)
    retrieval.write_text(text + "\n", encoding="utf-8")
    gate.write_text(json.dumps(gates, indent=1, sort_keys=True) + "\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_retrieval, snakemake)
