"""Search in a knowledge base: its chunks, and the Chroma store that holds their embeddings."""

import contextlib
import functools
import math
import shutil
import tempfile
import time
import zipfile
import zlib

import numpy as np

from specialist.core.errors import UserError
from specialist.rag.embedding import open_encoder
from specialist.rag.index_files import REMEDY, Chunks, check_index, nearest, read_settings
from specialist.rag.ranking import How, best_of, first_of_each, fuse, sentences
from specialist.rag.reranking import Reranker
from specialist.rag.words import Words

COLLECTION = "chunks"
DEPTH = 50  # chunks of each search that a fusion, a reranker or a ranking by article looks at
REMEMBERED = 4096  # texts whose vectors are kept
RERANKED = 20  # chunks that a reranker reads


def recall(sources, right):
    """The share of the right articles (a set) among the sources that were found."""
    return len(right.intersection(sources)) / len(right)


def reciprocal_rank(sources, right):
    """1 / rank of the first source that is right, or 0."""
    return next((1 / rank for rank, source in enumerate(sources, 1) if source in right), 0)


def ndcg(sources, right, depth=10):
    """Normalised discounted cumulative gain of the first sources; each right one counts once."""
    gains, seen = 0.0, set()
    for rank, source in enumerate(sources[:depth], 1):
        if source in right and source not in seen:
            seen.add(source)
            gains += 1 / math.log2(rank + 1)
    return gains / sum(1 / math.log2(rank + 1) for rank in range(1, min(len(right), depth) + 1))


def shifted(vectors, shift):
    """Vectors of queries, each moved by what learn_queries learned: float32, of length 1.

    Args:
        vectors: float32 [queries, dimension], of length 1.
        shift: float32 [dimension, dimension]; zeros leave every query where it is.
    """
    moved = vectors + vectors @ shift
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def chroma(path):
    """A client for the Chroma store in a folder, without telemetry; close it after use."""
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))


def open_shift(path, dimension):
    """The matrix of learn_queries: float32 [dimension, dimension], or None without a path.

    Raises:
        UserError: it was learned for another model, or the file is damaged.
    """
    if not path:
        return None
    with contextlib.suppress(ValueError, EOFError):
        shift = np.load(path, allow_pickle=False)
        if shift.shape == (dimension, dimension):
            return shift
    raise UserError(f"{path}: expected a matrix of {dimension} x {dimension} numbers; {REMEDY}")


class Embedder:
    """Embeds queries for the search. It remembers the latest vectors.

    Args:
        settings, encoder, threads: see `specialist.rag.embedding.open_encoder`.
        shift: .npy of learn_queries, or None to search with the query's own vector.

    Attributes:
        seconds: {text: seconds that its embedding took}, of the texts that it remembers.
    """

    def __init__(self, settings, encoder=None, shift=None, *, threads=1):
        self.shift = open_shift(shift, read_settings(settings)["dimension"])
        self._vectors, self.seconds = {}, {}
        self._open = contextlib.ExitStack()
        self.encoder = self._open.enter_context(open_encoder(settings, encoder, threads))

    def embed(self, queries, learned=True):
        """Vectors of queries: float32 [len(queries), dimension], of length 1.

        Args:
            learned: whether the shift moves them.
        """
        if len(self._vectors) > REMEMBERED:  # a server may run for weeks
            self._vectors.clear()
            self.seconds.clear()
        if new := [text for text in dict.fromkeys(queries) if text not in self._vectors]:
            start = time.perf_counter()
            self._vectors.update(zip(new, self.encoder.queries(new), strict=True))
            each = (time.perf_counter() - start) / len(new)
            self.seconds |= dict.fromkeys(new, each)
        vectors = np.stack([self._vectors[text] for text in queries])
        return shifted(vectors, self.shift) if learned and self.shift is not None else vectors

    def close(self):
        """Free the model."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Search(Embedder):
    """Ranks chunks for a query: the common part of the search in a store and the exact search.

    Args:
        settings, encoder, shift, threads: see `Embedder`.
        words: zip of build_bm25, or None.
        how: dict for `specialist.rag.ranking.How`, or None.
        top_k: chunks that a search returns, fewer if there are not so many.
    """

    def __init__(self, settings, encoder, shift, words, how, top_k, threads):
        self.how, self.top_k = How(**(how or {})), top_k
        self.words = Words.open(words) if words else None
        super().__init__(settings, encoder, shift, threads=threads)

    @functools.cached_property
    def reranker(self):
        """The cross-encoder of this index."""
        return Reranker(self.how.reranker)

    def search(self, query):
        """The best chunks for one query, best first; see `search_all`."""
        return self.search_all([query])[0]

    def search_all(self, queries, top_k=None, how=None):
        """The best chunks for each query, best first.

        Args:
            queries: list of str, at least one.
            top_k: chunks for each query; None for the searcher's own number.
            how: another `How` than the searcher's own.

        Returns:
            A list for each query of {"id", "source", "title", "text", "score"}. The score is the
            cosine similarity from -1 to 1, BM25's score if only words are searched, the sum of
            reciprocal ranks after a fusion, or the reranker's score.
        """
        how, top_k = how or self.how, min(top_k or self.top_k, self._count)
        deep = how.articles or how.reranker or (how.dense and how.bm25)
        depth = min(max(top_k, DEPTH), self._count) if deep else top_k
        rankings = self._rankings(queries, how, depth)
        kept = depth if how.articles else min(depth, max(top_k, RERANKED))
        kept = kept if deep else top_k
        hits = self._hits([ranking[:kept] for ranking in rankings])
        if how.reranker:
            hits = [self.reranker.order(*row) for row in zip(queries, hits, strict=True)]
        return [first_of_each(row, top_k) if how.articles else row[:top_k] for row in hits]

    def _rankings(self, queries, how, depth):
        """A list of (key, score) for each query."""
        if how.bm25:
            words = [self._by_words(query, depth) for query in queries]
            if not how.dense:
                return words
        parts = [sentences(query) if how.sentences else [query] for query in queries]
        flat = [part for row in parts for part in row]
        found = iter(self._nearest(self.embed(flat, how.learned), depth))
        dense = [best_of([next(found) for _ in row])[:depth] for row in parts]
        if not how.bm25:
            return dense
        return [
            fuse([key for key, _ in one], [key for key, _ in other], self.words.share)
            for one, other in zip(dense, words, strict=True)
        ]


class ExactSearcher(Search):
    """Finds chunks without a vector store.

    Args:
        chunks, embeddings: JSONL of chunk_kb and .npy of embed_chunks.
        settings, encoder, shift, words, how, top_k, threads: see `Search`.
    """

    def __init__(
        self, chunks, embeddings, settings, encoder=None, shift=None, words=None, *,
        how=None, top_k, threads=1,
    ):  # fmt: skip
        self._chunks, self._embeddings = Chunks(chunks), embeddings
        check_index(self._chunks, embeddings, settings)
        self._count = len(self._chunks)
        super().__init__(settings, encoder, shift, words, how, top_k, threads)

    def _nearest(self, vectors, depth):
        for scores, numbers in zip(*nearest(self._embeddings, vectors, depth), strict=True):
            yield [*zip(numbers.tolist(), scores.tolist(), strict=True)]

    def _by_words(self, query, depth):
        return [*zip(*self.words.search(query, depth), strict=True)]

    def _hits(self, rankings):
        return [
            [self._chunks[number] | {"score": score} for number, score in ranking]
            for ranking in rankings
        ]


class Searcher(Search):
    """Finds chunks in a Chroma store.

    Args:
        store: zip of the Chroma store (build_chroma). A private copy is unpacked, as Chroma
            writes to a store even when it only reads.
        settings, encoder, shift, words, how, top_k, threads: see `Search`.
    """

    def __init__(
        self, store, settings, encoder=None, shift=None, words=None, *,
        how=None, top_k=1, threads=1,
    ):  # fmt: skip
        super().__init__(settings, encoder, shift, words, how, top_k, threads)
        try:
            copy = self._open.enter_context(tempfile.TemporaryDirectory())
            try:
                shutil.unpack_archive(store, copy)
            except (shutil.ReadError, zipfile.BadZipFile, EOFError, zlib.error):
                raise UserError(f"{store}: the store is damaged; {REMEDY}") from None
            client = self._open.enter_context(contextlib.closing(chroma(copy)))
            self._collection = client.get_collection(COLLECTION, embedding_function=None)
            self._count = self._collection.count()
        except BaseException:
            self.close()
            raise

    def _nearest(self, vectors, depth):
        found = self._collection.query(
            query_embeddings=vectors, n_results=depth, include=["distances"]
        )
        for ids, distances in zip(found["ids"], found["distances"], strict=True):
            yield [(id_, 1 - distance) for id_, distance in zip(ids, distances, strict=True)]

    def _by_words(self, query, depth):
        numbers, scores = self.words.search(query, depth)
        return [*zip([self.words.ids[number] for number in numbers], scores, strict=True)]

    def _hits(self, rankings):
        wanted = [*dict.fromkeys(id_ for ranking in rankings for id_, _ in ranking)]
        if not wanted:
            return [[] for _ in rankings]
        got = self._collection.get(ids=wanted, include=["documents", "metadatas"])
        found = {
            id_: {"id": id_, **metadata, "text": text}
            for id_, metadata, text in zip(
                got["ids"], got["metadatas"], got["documents"], strict=True
            )
        }
        return [[found[id_] | {"score": score} for id_, score in ranking] for ranking in rankings]
