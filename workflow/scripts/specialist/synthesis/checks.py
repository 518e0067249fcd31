"""The checks that each candidate passes. The first one that fails is why it is dropped."""

import json
import re
import tempfile
from collections import Counter
from pathlib import Path

from specialist.agent.facts import NO_BLANKS
from specialist.agent.rules import Rules
from specialist.synthesis.grounding import unsupported

ALIKE = 0.8  # similarity from which two questions are near-duplicates, as in a corpus
REPEATED_WORDS, MOST_TIMES = 4, 3  # a text that says so many words so often repeats itself
LETTERS = 4  # of a word that carries information; a word with a digit always does
RUN_WORDS = 8  # words in a row that a training row must not share with a task; see audit_leakage


def check_passage(candidate, hits, ordinary):
    """(reason or None, facts that it is for) of a question, by what the search finds for it.

    The search must find the chunk of a question, and this chunk must hold the numbers and names of
    the answer, and a word of it that the question lacks. Of a question without an answer, the
    teacher must have read all that the search finds: another chunk might hold the answer.

    Args:
        candidate: see `specialist.synthesis.questions.candidates`.
        hits: the chunks that the search finds.
        ordinary: see `specialist.synthesis.grounding.names`.
    """
    found = {hit["id"]: hit for hit in hits}
    if candidate["kind"] == "unanswerable":
        return (None if set(found) <= set(candidate["read"]) else "other_chunk_found"), []
    own = found.get(candidate["chunk"])
    if own is None:
        return "not_found_by_search", []
    wrong = unsupported(candidate["answer"], [own["title"], own["text"]], ordinary)
    if wrong:
        return "unsupported_fact", wrong
    new = _telling(candidate["answer"]) - _telling(candidate["question"])
    # In scripts without blanks, nothing shows where a word ends.
    if re.search(f"[{NO_BLANKS}]", candidate["answer"]):
        return None, []
    return (None if new & _telling(f"{own['title']} {own['text']}") else "adds_nothing"), []


def check_words(candidate):
    """Why the words of a question or its answer are useless, or None."""
    texts = [candidate["question"], candidate["answer"] or ""]
    return "repeats_itself" if any(map(_repeats, texts)) else None


def check_call(candidate, before, tools, ordinary):
    """The same of a request, by the rules of the tools and the result of the call.

    The guards were kept when the call was played.

    Args:
        candidate: see `specialist.synthesis.requests.requests`.
        before: the messages before the call.
        tools: entries of tools.yaml.
        ordinary: see `specialist.synthesis.grounding.names`.
    """
    rules, answer, name = Rules(tools), candidate["answer"], candidate["tool"]
    if refused := rules.refusal(name, candidate["arguments"], before):
        return "refused_by_rule", [refused]
    if rules.false_claim(answer, [name]):
        return "false_claim", []
    said = [json.dumps(value, ensure_ascii=False) for value in candidate["arguments"].values()]
    wrong = unsupported(answer, [candidate["result"], *said], ordinary)
    return ("unsupported_fact" if wrong else None), wrong


def _telling(text):
    """The words of a text that may carry information, in small letters."""
    words = re.findall(r"\w+", text.casefold())
    return {word for word in words if len(word) >= LETTERS or any(map(str.isdigit, word))}


def _repeats(text):
    """Whether a text has the same sentence twice, or a run of words again and again."""
    plain = text.casefold()
    sentences = (re.findall(r"\w+", part) for part in re.split(r"[.?!:;]+\s", plain + " "))
    whole = Counter(tuple(words) for words in sentences if len(words) > 2)
    words = re.findall(r"\w+", plain)
    runs = Counter(zip(*(words[start:] for start in range(REPEATED_WORDS)), strict=False))
    return max(whole.values(), default=0) > 1 or max(runs.values(), default=0) >= MOST_TIMES


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
