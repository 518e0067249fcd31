"""Cuts the articles of one shard of an index into chunks."""


def chunk_shard(
    articles, weights, chunks, *, sources, model, max_words, max_tokens, overlap_words,
    min_words=0, intro_words=0, filter=None,
):  # fmt: skip
    """Write the chunks of a shard as `chunk_kb` does; an empty file where no article passes.

    A shard may have no article for the filter, or only documents without a text, where the
    other shards have some. `join_shards` checks that the whole index has chunks.

    Args:
        articles, weights, chunks, sources, model, max_words, max_tokens, overlap_words,
        min_words, intro_words, filter: see `chunk_kb`.
    """
    from chunk_kb import chunk_kb

    if not any(_passes(*pair, filter) for pair in zip(articles, sources, strict=True)):
        print("no article of this shard is in the index")
        chunks.write_bytes(b"")
        return
    chunk_kb(
        articles, weights, chunks, sources=sources, model=model, max_words=max_words,
        max_tokens=max_tokens, overlap_words=overlap_words, min_words=min_words,
        intro_words=intro_words, filter=filter,
    )  # fmt: skip


def _passes(path, source, filter):
    """Whether `chunk_kb` takes an article."""
    from specialist.rag.documents import read_article

    if path.suffix != source[source.rfind(".") :] and not path.stat().st_size:
        return False  # a document that convert_document left out
    return not filter or read_article(path, source).matches(filter)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(chunk_shard, snakemake)
