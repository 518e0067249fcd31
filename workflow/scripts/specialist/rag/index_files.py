"""The files of an index: chunks in JSONL, their vectors in .npy, and the settings of the vectors.

They may be larger than the memory, so a reader of all of them reads one block at a time.
"""

import json
from array import array

import numpy as np

from specialist.core.errors import UserError

BLOCK = 16_384  # vectors that are in memory at a time
REMEDY = (
    "delete the file and give the command again; in the folder of a release, run `python verify.py`"
)


def embedded_text(chunk):
    """The searched text of a chunk: title, perhaps its article's introduction, and text."""
    return "\n".join(filter(None, (chunk["title"], chunk.get("intro"), chunk["text"])))


class Chunks:
    """The records that chunk_kb wrote, read from the disk when they are asked for.

    Each is {"id", "source", "title", "text"}, perhaps with "intro" and "metadata".
    """

    def __init__(self, path):
        self.path, self._begins = path, array("q")
        with open(path, "rb") as file:
            begin = 0
            for line in file:
                self._begins.append(begin)
                begin += len(line)

    def __len__(self):
        return len(self._begins)

    def __getitem__(self, number):
        """The record of a number, counted from 0."""
        with open(self.path, "rb") as file:
            file.seek(self._begins[number])
            return self._record(number, file.readline())

    def __iter__(self):
        return self.read(0)

    def read(self, start, stop=None):
        """Yield the records from one number to another."""
        if start >= len(self):
            return
        with open(self.path, "rb") as file:
            file.seek(self._begins[start])
            for number in range(start, len(self) if stop is None else min(stop, len(self))):
                yield self._record(number, file.readline())

    def _record(self, number, line):
        try:
            record = json.loads(line)
            if record.keys() >= {"id", "source", "title", "text"}:
                return record
        except (ValueError, AttributeError):
            pass
        raise UserError(
            f"{self.path}, line {number + 1}: found {line[:60]!r}, expected a chunk; {REMEDY}"
        )


def read_settings(path):
    """The settings of an index's vectors, which embed_chunks wrote.

    Raises:
        UserError: the file is damaged.
    """
    kinds = {"model": str, "dimension": int, "max_tokens": int, "prompts": dict, "chunks": int}
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if all(isinstance(found[key], kind) for key, kind in kinds.items()):
            return found
    except (ValueError, TypeError, LookupError):
        pass
    raise UserError(
        f"{path}: expected the settings of an index, with {', '.join(kinds)}; the file is "
        f"damaged: {REMEDY}"
    )


def open_vectors(path):
    """The vectors of an index: float32 [chunks, dimension], mapped from the disk.

    Raises:
        UserError: the file is damaged.
    """
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        if vectors.ndim == 2 and vectors.dtype == np.float32:
            return vectors
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
    raise UserError(f"{path}: expected float32 vectors; the file is damaged: {REMEDY}")


def blocks(path, size=BLOCK):
    """Yield (first row, vectors) of the .npy at a path, `size` rows at a time.

    Each block is mapped again: pages of one map that were read once count as memory in use.
    """
    for start in range(0, len(open_vectors(path)), size):
        yield start, np.array(open_vectors(path)[start : start + size])


def rows(path, numbers):
    """The vectors of some rows: float32 [len(numbers), dimension]."""
    return np.array(open_vectors(path)[np.asarray(numbers, dtype=np.int64)])


def nearest(path, queries, count):
    """The rows of an index that are nearest to each query, found exactly.

    Args:
        path: .npy of embed_chunks.
        queries: float32 [queries, dimension], vectors of length 1.
        count: rows for each query, fewer if there are not so many.

    Returns:
        (scores, numbers): float32 and int64 [queries, count]: cosine similarity and number of
        the row, best first; of equal ones the first row.
    """
    best = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start, vectors in blocks(path):
        scores = queries @ vectors.T
        numbers = np.broadcast_to(np.arange(start, start + len(vectors)), scores.shape)
        scores, numbers = _top(scores, numbers, count)
        best = _top(np.hstack([best[0], scores]), np.hstack([best[1], numbers]), count)
    return best


def _top(scores, numbers, count):
    """The best columns of each row, the first of equal ones first."""
    kept = min(count, scores.shape[1])
    if kept < scores.shape[1] // 8:
        # Sorting all takes long. Only columns as good as the last kept one must be sorted.
        limits = np.partition(scores, -kept, axis=1)[:, -kept]
        order = [_best(row, np.flatnonzero(row >= least), kept) for row, least in
                 zip(scores, limits, strict=True)]  # fmt: skip
        order = np.array(order).reshape(len(scores), kept)
    else:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)


def _best(row, columns, count):
    return columns[np.argsort(-row[columns], kind="stable")[:count]]


def check_index(records, embeddings, settings):
    """Raise a UserError if chunks, vectors and settings are not those of one index."""
    made, vectors = read_settings(settings), open_vectors(embeddings)
    expected = (made["chunks"], made["dimension"])
    if vectors.shape != expected or len(records) != len(vectors):
        raise UserError(
            f"{settings}: the index of {made['model']} has {expected[0]} chunks with "
            f"{expected[1]} numbers each, {records.path} has {len(records)} chunks and "
            f"{embeddings} {vectors.shape[0]} x {vectors.shape[1]} numbers; {REMEDY}"
        )
