"""The checks that each candidate passes. The first one that fails is why it is dropped."""

import tempfile
from pathlib import Path

from specialist.synthesis.grounding import unsupported

ALIKE = 0.8  # similarity from which two questions are near-duplicates, as in a corpus
RUN_WORDS = 8  # words in a row that a training row must not share with a task; see audit_leakage


def check_search(candidate, hits):
    """Why the search does not fit a candidate, or None.

    The search must find the chunk of a question. Of a question without an answer, the teacher
    must have read all that the search finds: another chunk might hold the answer.

    Args:
        candidate: see `specialist.synthesis.questions.candidates`.
        hits: the chunks that the search finds for its question.
    """
    found = [hit["id"] for hit in hits]
    if candidate["kind"] == "question":
        return None if candidate["chunk"] in found else "not_found_by_search"
    return None if set(found) <= set(candidate["read"]) else "other_chunk_found"


def check_facts(candidate, hits, ordinary):
    """(reason, facts) for an answer with numbers or names that its chunk does not hold.

    Args:
        ordinary: see `specialist.synthesis.grounding.names`.
    """
    if candidate["kind"] != "question":
        return None, []
    own = next(hit for hit in hits if hit["id"] == candidate["chunk"])
    wrong = unsupported(candidate["answer"], [own["title"], own["text"]], ordinary)
    return ("unsupported_fact" if wrong else None), wrong


def near_duplicates(texts):
    """Whether each text is nearly the same as one before it: list of bool."""
    import numpy as np

    from specialist.data.near_duplicates import Signatures

    if not texts:
        return []
    plain = [" ".join(text.casefold().split()).strip(".?! ") or text for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        signatures = Signatures(Path(folder, "signatures"))
        signatures.add(plain)
        groups = signatures.clusters(np.arange(len(texts)), ALIKE)
    seen, found = set(), []
    for group in groups.tolist():
        found.append(group in seen)
        seen.add(group)
    return found


def leaks(tasks, rows):
    """What rows share with tasks: a run of words or an identifier.

    Args:
        tasks: dicts with "id", "entities", and "message" or "requests".
        rows: dicts with "messages".

    Yields:
        (number of the row, id of the task, what they share)
    """
    from specialist.data.leakage import Overlap

    overlap = Overlap(tasks, RUN_WORDS)
    for number, row in enumerate(rows):
        for leak in overlap.of(row):
            yield number, leak["task"], leak.get("run") or leak["identifier"]
