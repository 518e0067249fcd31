"""Near-duplicates among documents: MinHash signatures on disk, and clusters of them.

Rensa computes the signatures. It would keep its index of all documents in memory. Here the
signatures are in a file, and sorting one band at a time brings similar documents together.
"""

import itertools
import os

WORDS = 5  # in a shingle
VALUES = 128  # of a signature
BANDS, BAND = 21, 6  # 99.8 % of the pairs with a similarity of 0.8 agree in one band or more
ROUNDS = 4  # comparisons of a document with others of its band
SEED = 1
CHUNK = 1 << 16  # rows or pairs of the file held in memory at a time


class Signatures:
    """Signatures of documents in a file: uint8 [n, 128], the lowest byte of each MinHash.

    Two documents agree in a share of their values that estimates the Jaccard similarity of
    their shingles, five words in a row: b-bit minwise hashing (Li and Koenig, 2010).

    Args:
        path: file to write.
    """

    def __init__(self, path):
        self.path = path
        path.write_bytes(b"")

    def add(self, texts):
        """Append the signatures of some texts, none of them blank."""
        import numpy as np
        from rensa import RMinHash

        sets = [shingles(text) for text in texts]
        rows = RMinHash.digest_matrix_from_token_sets(sets, VALUES, SEED).to_rows()
        with open(self.path, "ab") as file:
            np.array(rows, np.uint32).astype(np.uint8).tofile(file)

    def clusters(self, documents, threshold):
        """Groups of documents that are near-duplicates, directly or through others.

        Args:
            documents: int array [n], sorted rows of the file.
            threshold: similarity from which two documents are near-duplicates.

        Returns:
            int32 array [n], the number of each document's group.
        """
        import numpy as np

        groups = np.arange(len(documents), dtype=np.int32)
        for band in range(BANDS):
            groups = self._join(groups, band, documents, threshold)
        return groups

    def _join(self, groups, band, documents, threshold):
        """Join the groups of similar documents that share a band's key.

        Each is compared with the one beside it and with the first of its key. Those unlike the
        first are compared with the first among them, and so on. A key that many documents share
        therefore needs only a few comparisons for each.
        """
        import numpy as np

        keys = self._keys(band, documents)
        order = np.argsort(keys)
        keys = keys[order]
        equal = keys[1:] == keys[:-1]
        shared = np.append(equal, False) | np.append(False, equal)
        order, keys = order[shared], keys[shared]
        # Sorting by another band too brings the most similar of a key together.
        finer = np.lexsort((order, self._keys((band - 1) % BANDS, documents)[order], keys))
        order = order[finer]
        equal = keys[1:] == keys[:-1]
        groups, _ = self._link(groups, order[:-1][equal], order[1:][equal], documents, threshold)
        for _ in range(ROUNDS):
            first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
            leaders = order[np.flatnonzero(first)[np.cumsum(first) - 1]]
            groups, unlike = self._link(
                groups, leaders[~first], order[~first], documents, threshold
            )
            order, keys = order[~first][unlike], keys[~first][unlike]
            if not len(order):
                break
        return groups

    def _link(self, groups, left, right, documents, threshold):
        """(groups with those of similar pairs joined, which pairs are still apart)."""
        import numpy as np
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        apart = groups[left] != groups[right]
        pairs = np.flatnonzero(apart)
        alike = pairs[self._agree(documents[left[pairs]], documents[right[pairs]]) >= threshold]
        if not len(alike):
            return groups, apart
        edges = groups[left[alike]], groups[right[alike]]
        size = int(groups.max()) + 1
        graph = coo_array((np.ones(len(alike), bool), edges), shape=(size, size))
        joined = connected_components(graph, directed=False)[1][groups]
        apart[alike] = False
        return joined, apart

    # The file is read, not mapped: mapped pages count as the process's memory.

    def _keys(self, band, documents):
        """The key of each document in a band, uint64 [n]; `documents` are sorted."""
        import numpy as np

        keys, begin = np.zeros((len(documents), 8), np.uint8), 0
        with open(self.path, "rb") as file:
            for start in itertools.count(0, CHUNK):
                rows = np.fromfile(file, np.uint8, CHUNK * VALUES).reshape(-1, VALUES)
                if not len(rows):
                    break
                end = np.searchsorted(documents, start + len(rows))
                chosen = documents[begin:end] - start
                keys[begin:end, :BAND] = rows[chosen, band * BAND : (band + 1) * BAND]
                begin = end
        return keys.view(np.uint64)[:, 0]

    def _agree(self, left, right):
        """Share of equal values of each pair of rows, float [pairs]."""
        import numpy as np

        shares = np.zeros(len(left))
        with open(self.path, "rb", buffering=0) as file:
            for begin in range(0, len(left), CHUNK):
                part = slice(begin, begin + CHUNK)
                first, second = (self._rows(file, rows[part]) for rows in (left, right))
                shares[part] = (first == second).mean(axis=1)
        return shares

    @staticmethod
    def _rows(file, numbers):
        import numpy as np

        # A document to compare with others occurs in many pairs.
        different, places = np.unique(numbers, return_inverse=True)
        places_in_file = (different * VALUES).tolist()
        found = [os.pread(file.fileno(), VALUES, place) for place in places_in_file]
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, VALUES)[places]


def shingles(text):
    """Runs of five words of a text, in small letters; the whole text if it has fewer words.

    A text without blanks, as Chinese has none, is cut into characters instead of words.
    """
    words = text.lower().split()
    if len(text) > 20 * len(words):
        words = list("".join(words))
    return list(map(" ".join, zip(*(words[start:] for start in range(WORDS)), strict=False))) or [
        " ".join(words)
    ]
