"""Builds the search by words of one shard of an index."""


def index_words(chunks, words):
    """Write the index of the words of a shard's chunks; an empty file for a shard without chunks.

    Args:
        chunks: JSONL of chunk_shard.
        words: zip to write, with the same bytes for the same chunks.
    """
    from specialist.rag.index_files import Chunks
    from specialist.rag.shard_words import ShardPart

    records = Chunks(chunks)
    if len(records):
        ShardPart.of(records).save(words)
    else:
        words.write_bytes(b"")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(index_words, snakemake)
