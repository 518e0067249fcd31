"""Learns from the training conversations what a customer's message searches for."""

import itertools

PART = 2048  # queries searched at a time: each has a score for all vectors of a block
MOST_TITLES = 20_000  # titles that are learned from; of a larger index evenly from all


def learn_queries(
    conversations, chunks, embeddings, settings, encoder, shift, *, learn_from, threads
):
    """Write the matrix that moves the vector of a query towards the right chunk.

    In a conversation, the agent turns a message into a short query, and this query finds a
    chunk. The message should have found the same chunk. Ridge regression learns the way from
    a message to its chunk, relative to the mean of all chunks. Each title is an example for
    its own chunk, so the search still finds chunks that no conversation looks up.
    Conversations without a search are left out.

    Args:
        conversations: JSONL of prepare_sft.
        chunks: JSONL of chunk_kb.
        embeddings: .npy of embed_chunks.
        settings, encoder: JSON of embed_chunks and GGUF of convert_encoder, or an empty list;
            see `specialist.rag.embedding.open_encoder`.
        shift: .npy to write: float32 [dimension, dimension], for
            `specialist.rag.retrieval.shifted`; zeros if no conversation searches.
        learn_from: most conversations that are learned from; see `searching`.
        threads: CPU threads for sentence-transformers.
    """
    import numpy as np

    from specialist.rag.embedding import open_encoder
    from specialist.rag.index_files import Chunks, nearest, open_vectors, rows
    from specialist.rag.retrieval import shifted

    records, dimension = Chunks(chunks), open_vectors(embeddings).shape[1]
    pairs = searching(conversations, learn_from)
    searched = sorted({query for _, query in pairs})
    if not pairs:
        print("no conversation contains a search: queries stay unchanged")
        np.save(shift, np.zeros((dimension, dimension), np.float32))
        return
    step = -(-len(records) // MOST_TITLES)
    titled = range(0, len(records), step)
    titles = [records[number]["title"] for number in titled]
    texts = sorted({*itertools.chain(*pairs), *titles})
    with open_encoder(settings, encoder or None, threads) as model:
        embedded = dict(zip(texts, model.queries(texts), strict=True))
    asked, queries, labels, names = (
        np.array([embedded[text] for text in part])
        for part in (*zip(*pairs, strict=True), searched, titles)
    )

    def found(queries):
        parts = (queries[start : start + PART] for start in range(0, len(queries), PART))
        return np.concatenate([nearest(embeddings, part, 1)[1][:, 0] for part in parts])

    sources = np.concatenate([asked, names]).astype(np.float64)
    targets = np.concatenate([rows(embeddings, found(queries)), rows(embeddings, titled)])
    targets = targets - _mean(embeddings)
    learned = np.linalg.solve(sources.T @ sources + np.eye(dimension), sources.T @ targets)
    np.save(shift, learned.astype(np.float32))
    before, after = (found(part) == found(queries) for part in (asked, shifted(asked, learned)))
    moved = (found(labels) != found(shifted(labels, learned))).sum()
    print(
        f"{len(pairs)} messages: {before.mean():.1%} found what their conversation looks up, "
        f"{after.mean():.1%} do now; {moved} of {len(searched)} queries find another chunk"
    )


def _mean(embeddings):
    """The mean of all vectors."""
    from specialist.rag.index_files import blocks, open_vectors

    count = len(open_vectors(embeddings))
    return sum(part.mean(axis=0) * (len(part) / count) for _, part in blocks(embeddings))


def searching(conversations, most):
    """(what the user wrote, the first query that followed) of conversations that search.

    Args:
        conversations: JSONL of prepare_sft.
        most: largest number of pairs. Each query gets as many as the others, if it has that
            many, so rare questions count as much as frequent ones.
    """
    from specialist.core.text import read_rows

    pairs = [pair for row in read_rows(conversations) if (pair := _lookup(row["messages"]))]
    groups = {}
    for message, query in pairs:
        groups.setdefault(query, []).append((message, query))
    if len(groups) > most:
        return _evenly(pairs, most)
    found, left = [], most
    for number, group in enumerate(sorted(groups.values(), key=len)):
        found += _evenly(group, left // (len(groups) - number))
        left = most - len(found)
    return found


def _evenly(pairs, most):
    count = min(most, len(pairs))
    return [pairs[i * len(pairs) // count] for i in range(count)]


def _lookup(messages):
    """(what the user wrote, the first query that followed on it), or None without one."""
    from specialist.agent import react
    from specialist.agent.environment import SEARCH

    said = None
    for message in messages:
        if message["role"] == "user":
            said = message["content"]
        elif message["role"] == "assistant" and said:
            turn = react.parse(message["content"])
            query = turn.get("arguments", {}).get("query")
            if turn.get("call") == SEARCH["name"] and isinstance(query, str):
                return said, query
    return None


if "snakemake" in globals():
    from specialist.engine.step import run

    run(learn_queries, snakemake)
