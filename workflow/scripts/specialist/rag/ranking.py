"""Turns a query into a ranking: its sentences, the fusion of two searches, and articles."""

import re
from typing import NamedTuple

SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
LEAST_WORDS, LEAST_CHARACTERS = 4, 8  # shorter parts of a message are greetings
MOST_SENTENCES = 8  # limits the cost of a query
CONSTANT = 60  # of reciprocal rank fusion; the value of its authors


class How(NamedTuple):
    """How an index is searched; see `Search` in config/settings/systems.py.

    Attributes:
        dense, bm25: whether vectors, words or both are searched.
        sentences: whether the sentences of a query are searched one by one.
        articles: whether at most one chunk of each article is found.
        reranker: cross-encoder that orders the best chunks again, or None.
        learned: whether the learned shift moves the vectors of queries.
    """

    dense: bool = True
    bm25: bool = False
    sentences: bool = True
    articles: bool = False
    reranker: str | None = None
    learned: bool = True


def sentences(query):
    """The sentences of a query that say something; the query itself if there is one or none.

    An embedding of a whole message is the mean of all that it says. A greeting, a name or an
    unrelated sentence moves it away from the article that one of the sentences asks for.
    """
    found = [part.strip() for part in SENTENCE.split(query)]
    kept = [part for part in found if len(part.split()) >= LEAST_WORDS]
    kept = kept or [part for part in found if len(part) >= LEAST_CHARACTERS]
    return kept[:MOST_SENTENCES] if kept and any(found) else [query]


def best_of(rankings):
    """One ranking of several: each chunk with its best score.

    Args:
        rankings: lists of (key of a chunk, score).

    Returns:
        list of (key, score), best first; of equal ones the first.
    """
    best = {}
    for ranking in rankings:
        for key, score in ranking:
            best[key] = max(score, best.get(key, score))
    return sorted(best.items(), key=lambda item: -item[1])


def fuse(dense, words, share):
    """Weighted reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009).

    A ranking with the weight 0 has no influence.

    Args:
        dense, words: keys of chunks, best first.
        share: weight of `words`, from 0 to 1; `dense` has the rest.

    Returns:
        list of (key, score), best first.
    """
    scores = {}
    for keys, weight in ((dense, 1 - share), (words, share)):
        for rank, key in enumerate(keys if weight else (), 1):
            scores[key] = scores.get(key, 0.0) + weight / (CONSTANT + rank)
    return sorted(scores.items(), key=lambda item: -item[1])


def first_of_each(hits, count):
    """The first hit of each article, at most `count`."""
    found = {}
    for hit in hits:
        found.setdefault(hit["source"], hit)
    return list(found.values())[:count]
