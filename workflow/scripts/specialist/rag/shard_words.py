"""Search by words in an index whose chunks are divided among several indexes of words."""

import json
import math
from bisect import bisect_right
from collections import Counter
from itertools import accumulate

import numpy as np

from specialist.core.errors import UserError
from specialist.rag.index_files import REMEDY
from specialist.rag.words import Words, terms


class ShardWords:
    """Ranks the chunks of several `specialist.rag.words.Words` as one index would.

    BM25 gives a rare term more weight. Here, its rarity in all shards counts, so the scores of two
    shards can be compared. Only the mean length of the texts is that of each shard; between shards
    of thousands of documents it hardly differs.

    Args:
        paths: zips of index_words, one for each shard; an empty file for one without chunks.
        share: share of BM25 in a fusion with vectors, from 0 to 1.

    Raises:
        UserError: a file is damaged.
    """

    def __init__(self, paths, share):
        self.share = share
        self._parts = [ShardPart.open(path) for path in paths if path.stat().st_size]
        self._begins = [0, *accumulate(len(part.ids) for part in self._parts)]
        self.ids = _Joined([part.ids for part in self._parts], self._begins)

    @classmethod
    def open(cls, share, *paths):
        """The same with the share in a JSON of weigh_words."""
        try:
            found = json.loads(share.read_text(encoding="utf-8"))["share"]
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{share}: expected a share of BM25; {REMEDY}") from None
        return cls(paths, found)

    def search(self, query, count):
        """(numbers of the best chunks of all shards, best first; their scores)."""
        asked, total = Counter(terms(query)), self._begins[-1]
        frequency = {term: sum(part.frequency(term) for part in self._parts) for term in asked}
        numbers, scores = [], []
        for part, begin in zip(self._parts, self._begins, strict=False):
            weights = {
                term: times * _idf(total, frequency[term]) / _idf(len(part.ids), here)
                for term, times in asked.items()
                if (here := part.frequency(term))
            }
            best, values = part.best(weights, count)
            numbers += (best + begin).tolist()
            scores += values.tolist()
        order = _order(scores)[:count].tolist()
        return [numbers[i] for i in order], [scores[i] for i in order]


class ShardPart(Words):
    """The words of one shard, whose terms can be weighted."""

    def frequency(self, term):
        """Number of chunks with a term."""
        begin, end = self._place(term)
        return end - begin

    def best(self, weights, count):
        """(numbers, scores) of the best chunks that share a term with a query.

        Args:
            weights: {term of this shard: factor of its scores}.
        """
        scores = np.zeros(len(self.ids), np.float32)
        for term, weight in weights.items():
            begin, end = self._place(term)
            inside = self._model.scores["indices"][begin:end]
            scores[inside] += np.float32(weight) * self._model.scores["data"][begin:end]
        found = np.flatnonzero(scores)
        best = found[_order(scores[found])[:count]]
        return best, scores[best]

    def _place(self, term):
        """Where the scores of a term begin and end; the same place for an unknown one."""
        number = self._model.vocab_dict.get(term)
        if number is None:
            return 0, 0
        return tuple(map(int, self._model.scores["indptr"][number : number + 2]))


class _Joined:
    """The ids of all shards, by the numbers of their chunks."""

    def __init__(self, lists, begins):
        self._lists, self._begins = lists, begins

    def __getitem__(self, number):
        part = bisect_right(self._begins, number) - 1
        return self._lists[part][number - self._begins[part]]

    def __len__(self):
        return self._begins[-1]


def _order(scores):
    """Places of scores, best first.

    Equal texts of two shards keep their order, whatever the rounding errors of the weights.
    """
    return np.argsort(-np.round(scores, 4), kind="stable")


def _idf(count, frequency):
    """The weight of a term in Lucene's form of BM25, which bm25s uses."""
    return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))
