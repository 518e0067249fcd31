"""Search in an index whose chunks are divided among several Chroma stores."""

import heapq
import itertools
from collections import defaultdict

from specialist.rag.retrieval import Search, Searcher
from specialist.rag.shard_words import ShardWords
from specialist.rag.unpacked import collection


def open_search(store, *given, **named):
    """The search of an index.

    Args:
        store: zip of build_chroma, or a list of those of an index in shards.
        given, named: the other arguments of `specialist.rag.retrieval.Searcher`.
    """
    kind = ShardSearcher if isinstance(store, list) else Searcher
    return kind(store, *given, **named)


class ShardSearcher(Search):
    """Finds chunks in several stores, as if they were one.

    Each store is asked for its best chunks, so merging them by distance loses none. All graphs
    are in memory once they were searched: about 2 kB for each chunk.

    Args:
        stores: zips of build_shard; see `specialist.rag.unpacked.collection`.
        words: JSON of weigh_words and the zips of index_words, or None.
        settings, encoder, shift, how, top_k, threads: see `Search`.
    """

    def __init__(
        self, stores, settings, encoder=None, shift=None, words=None, *,
        how=None, top_k=1, threads=1,
    ):  # fmt: skip
        super().__init__(settings, encoder, shift, None, how, top_k, threads)
        self._home = {}
        try:
            self.words = ShardWords.open(*words) if words else None
            opened = [self._open.enter_context(collection(store)) for store in stores]
            sizes = [part.count() for part in opened]
        except BaseException:
            self.close()
            raise
        self._parts = [(part, size) for part, size in zip(opened, sizes, strict=True) if size]
        self._count = sum(sizes)

    def _rankings(self, queries, how, depth):
        self._home = {}  # the store of each chunk that the vectors of these queries found
        return super()._rankings(queries, how, depth)

    def _nearest(self, vectors, depth):
        found = [[] for _ in vectors]
        for part, size in self._parts:
            answer = part.query(
                query_embeddings=vectors, n_results=min(depth, size), include=["distances"]
            )
            for rows, ids, distances in zip(found, answer["ids"], answer["distances"], strict=True):
                rows.append(list(zip(distances, ids, itertools.repeat(part), strict=False)))
        for rows in found:
            best = heapq.merge(*rows, key=lambda row: row[0])
            kept = list(itertools.islice(best, depth))
            self._home |= {id_: part for _, id_, part in kept}
            yield [(id_, 1 - distance) for distance, id_, _ in kept]

    def _by_words(self, query, depth):
        numbers, scores = self.words.search(query, depth)
        return [*zip([self.words.ids[number] for number in numbers], scores, strict=True)]

    def _hits(self, rankings):
        wanted = dict.fromkeys(id_ for ranking in rankings for id_, _ in ranking)
        asked = defaultdict(list)
        for id_ in wanted:
            # What only words found may be in any store.
            home = [self._home[id_]] if id_ in self._home else [part for part, _ in self._parts]
            for part in home:
                asked[part.id].append(id_)
        found = {}
        for part, _ in self._parts:
            if ids := asked[part.id]:
                found |= _records(part, ids)
        return [[found[id_] | {"score": score} for id_, score in ranking] for ranking in rankings]


def _records(part, ids):
    """{id: chunk} of those of some ids that a store has."""
    got = part.get(ids=ids, include=["documents", "metadatas"])
    rows = zip(got["ids"], got["metadatas"], got["documents"], strict=True)
    return {id_: {"id": id_, **metadata, "text": text} for id_, metadata, text in rows}
