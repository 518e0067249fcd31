"""Search in a knowledge base: its chunks, and the Chroma store that holds their embeddings."""

import contextlib
import json
import shutil
import tempfile

import numpy as np

from specialist.rag.embedding import open_encoder

COLLECTION = "chunks"


def embedded_text(chunk):
    """What is embedded of a chunk: its title and its text below it."""
    return f"{chunk['title']}\n{chunk['text']}"


def read_chunks(path):
    """The records that chunk_kb wrote: list of {"id", "source", "title", "text"}."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


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


class Searcher:
    """Finds the chunks nearest in meaning to a query.

    Args:
        store: zip of the Chroma store (build_chroma). A private copy is unpacked, as Chroma
            writes to a store even when it only reads.
        settings, encoder, threads: see `specialist.rag.embedding.open_encoder`.
        shift: .npy of learn_queries, or None to search with the query's own vector.
        top_k: chunks a search returns, fewer if there are not so many.
    """

    def __init__(self, store, settings, encoder=None, shift=None, *, top_k=1, threads=1):
        self.top_k, self._vectors = top_k, {}
        self._shift = np.load(shift, allow_pickle=False) if shift else None
        self._open = contextlib.ExitStack()
        self.encoder = self._open.enter_context(open_encoder(settings, encoder, threads))
        copy = self._open.enter_context(tempfile.TemporaryDirectory())
        shutil.unpack_archive(store, copy)
        client = self._open.enter_context(contextlib.closing(chroma(copy)))
        self._collection = client.get_collection(COLLECTION, embedding_function=None)

    def embed(self, queries):
        """What is searched for: float32 [len(queries), dimension], vectors of length 1.

        Each text is embedded once.
        """
        if new := [text for text in dict.fromkeys(queries) if text not in self._vectors]:
            vectors = self.encoder.queries(new)
            if self._shift is not None:
                vectors = shifted(vectors, self._shift)
            self._vectors.update(zip(new, vectors, strict=True))
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
            n_results=top_k or self.top_k,
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

    def close(self):
        """Free the model, close the store and delete the private copy of it."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
