"""Search in a knowledge base: its chunks, and the Chroma store that holds their embeddings."""

import contextlib
import shutil
import tempfile
import zipfile
import zlib

import numpy as np

from specialist.core.errors import UserError
from specialist.rag.embedding import open_encoder
from specialist.rag.index_files import REMEDY, Chunks, check_index, nearest, read_settings

COLLECTION = "chunks"


def recall(sources, right):
    """The share of the right articles (a set) among the sources that were found."""
    return len(right.intersection(sources)) / len(right)


def reciprocal_rank(sources, right):
    """1 / rank of the first source that is right, or 0."""
    return next((1 / rank for rank, source in enumerate(sources, 1) if source in right), 0)


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
    """What learn_queries learned: float32 [dimension, dimension], or None without a path.

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
    """Embeds queries for the search.

    Args:
        settings, encoder, threads: see `specialist.rag.embedding.open_encoder`.
        shift: .npy of learn_queries, or None to search with the query's own vector.
    """

    def __init__(self, settings, encoder=None, shift=None, *, threads=1):
        self._shift = open_shift(shift, read_settings(settings)["dimension"])
        self._open = contextlib.ExitStack()
        self.encoder = self._open.enter_context(open_encoder(settings, encoder, threads))

    def embed(self, queries):
        """Vectors of queries: float32 [len(queries), dimension], of length 1."""
        vectors = self.encoder.queries(queries)
        return vectors if self._shift is None else shifted(vectors, self._shift)

    def close(self):
        """Free the model."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ExactSearcher(Embedder):
    """Finds the chunks nearest to a query without a vector store.

    Args:
        chunks, embeddings: JSONL of chunk_kb and .npy of embed_chunks.
        top_k: chunks that a search returns, fewer if there are not so many.
    """

    def __init__(self, chunks, embeddings, settings, encoder=None, shift=None, *, top_k, threads=1):
        self._chunks, self._embeddings, self.top_k = Chunks(chunks), embeddings, top_k
        check_index(self._chunks, embeddings, settings)
        super().__init__(settings, encoder, shift, threads=threads)

    def search(self, query):
        """The best chunks, best first: list of {"id", "source", "title", "text"}."""
        _, (numbers,) = nearest(self._embeddings, self.embed([query]), self.top_k)
        return [self._chunks[number] for number in numbers]


class Searcher(Embedder):
    """Finds the chunks nearest in meaning to a query.

    Args:
        store: zip of the Chroma store (build_chroma). A private copy is unpacked, as Chroma
            writes to a store even when it only reads.
        settings, encoder, shift, threads: see `Embedder`.
        top_k: chunks a search returns, fewer if there are not so many.
    """

    def __init__(self, store, settings, encoder=None, shift=None, *, top_k=1, threads=1):
        super().__init__(settings, encoder, shift, threads=threads)
        self.top_k, self._vectors = top_k, {}
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

    def embed(self, queries):
        """See `Embedder.embed`; each text is embedded once."""
        if new := [text for text in dict.fromkeys(queries) if text not in self._vectors]:
            self._vectors.update(zip(new, super().embed(new), strict=True))
        return np.stack([self._vectors[text] for text in queries])

    def search(self, query):
        """The best chunks for one query, best first; see `search_all`."""
        return self.search_all([query])[0]

    def search_all(self, queries, top_k=None):
        """The best chunks for each query, best first.

        Args:
            queries: list of str, at least one.
            top_k: chunks for each query; None for the searcher's own number.

        Returns:
            A list for each query of {"id", "source", "title", "text", "score"}; the score
            is the cosine similarity, from -1 to 1.
        """
        found = self._collection.query(
            query_embeddings=self.embed(queries),
            n_results=min(top_k or self.top_k, self._count),
            include=["documents", "metadatas", "distances"],
        )
        return [
            [
                {"id": id_, **metadata, "text": text, "score": 1 - distance}
                for id_, metadata, text, distance in zip(*columns, strict=True)
            ]
            for columns in zip(
                found["ids"],
                found["metadatas"],
                found["documents"],
                found["distances"],
                strict=True,
            )
        ]
