"""Chooses the weight of the search by words in a fusion with vectors, for an index in shards."""

import json


def weigh_words(
    parts, chunks, embeddings, settings, encoder, shift, conversations, share,
    *, learn_from, threads,
):  # fmt: skip
    """Write the share with which the articles that training conversations look up rank best.

    Without conversations, both searches count the same.

    Args:
        parts: zips of index_words, one for each shard.
        chunks, embeddings, settings: of join_shards, in the same order of the shards.
        encoder, shift, conversations, learn_from, threads: see `build_bm25`.
        share: JSON to write: {"share": from 0 to 1}.
    """
    from build_bm25 import MOST, best_share

    from specialist.rag.shard_words import ShardWords
    from specialist.rag.words import EQUAL

    found = EQUAL
    if conversations:
        from learn_queries import searching

        if pairs := searching(conversations, min(learn_from, MOST)):
            files = (chunks, embeddings, settings, encoder or None, shift or None)
            found = best_share(ShardWords(parts, EQUAL), pairs, files, threads)
    share.write_text(json.dumps({"share": found}) + "\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(weigh_words, snakemake)
