"""Builds the search by words of an index: BM25 over the texts that are embedded."""


def build_bm25(
    chunks, embeddings, settings, encoder, shift, conversations, words, *, learn_from, threads
):
    """Write the index of words, and the share that it gets in a fusion with vectors.

    The share is the one with the best rank of what the training conversations look up. Without
    conversations, both searches count the same.

    Args:
        chunks: JSONL of chunk_kb.
        embeddings, settings, encoder, shift: of the same index; see `measure_retrieval`.
        conversations: JSONL of prepare_sft, or an empty list.
        words: zip to write, with the same bytes for the same input.
        learn_from: most conversations that are read.
        threads: CPU threads for sentence-transformers.
    """
    from specialist.rag.index_files import Chunks
    from specialist.rag.words import Words

    found = Words.of(Chunks(chunks))
    if conversations:
        from learn_queries import searching

        pairs = searching(conversations, min(learn_from, MOST))
        if pairs:
            files = (chunks, embeddings, settings, encoder or None, shift or None)
            found.share = best_share(found, pairs, files, threads)
    found.save(words)


MOST = 200  # conversations that the share is chosen by
SHARES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.0, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


def best_share(words, pairs, files, threads):
    """The share of words with the best mean reciprocal rank; of equal ones the nearest to 0.5."""
    from specialist.rag.ranking import How
    from specialist.rag.retrieval import DEPTH, ExactSearcher, reciprocal_rank

    messages, queries = zip(*pairs, strict=True)
    with ExactSearcher(*files, top_k=DEPTH, threads=threads) as searcher:
        searcher.words = words
        plain = How(learned=False, sentences=False)
        right = [hits[0]["id"] for hits in searcher.search_all(list(queries), 1, plain)]

        def mrr(share):
            words.share = share
            found = searcher.search_all(list(messages), how=How(bm25=True))
            ranks = ([hit["id"] for hit in hits] for hits in found)
            return sum(map(reciprocal_rank, ranks, ({id_} for id_ in right))) / len(right)

        scores = {share: mrr(share) for share in SHARES}
    best = max(SHARES, key=lambda share: (scores[share], -abs(share - 0.5)))
    print(
        f"{len(pairs)} messages: the share of BM25 in the fusion is {best}; mean reciprocal rank "
        f"{scores[best]:.3f}, of vectors alone {scores[0.0]:.3f}, of BM25 alone {scores[1.0]:.3f}"
    )
    return best


if "snakemake" in globals():
    from specialist.engine.step import run

    run(build_bm25, snakemake)
