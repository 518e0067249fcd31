"""Audit of leakage: text that held-out tasks share with the training data.

Everything that a task's customer may say counts: each wording of each request and of each rule.
"""

import re
from itertools import filterfalse

from specialist.core.text import read_rows
from specialist.data.customers import sayings

SHOWN = 20
TO_BLANK = {code: " " for code in range(128) if not re.match(r"\w", chr(code))}


def audit(tasks, training, run_words):
    """Look in training data for the identifiers of tasks and for what their customers say.

    The tasks' runs are indexed, and the training data is read row by row: memory grows with the
    tasks alone.

    Words with digits and the words of all tasks' entities are taken out of both sides
    before runs of words are compared, so that filling another name into a known sentence
    does not hide it. An entity with a digit, an order number for example, is an identifier
    and must not occur at all.

    Args:
        tasks: dicts with "id", "entities", and "message" or "requests".
        training: JSONL files, rows with "text", "messages", or "prompt", "chosen" and
            "rejected".
        run_words: words in a run.

    Returns:
        dict: "n_tasks", "n_shorter" (tasks whose messages hold no run), "run_words",
        "training_texts", "n_leaking" (tasks that share a run or an identifier), and
        "leaking", the first 20 of {"task", "run" or "identifier", "file", "line"}.
    """
    overlap, texts, leaks = Overlap(tasks, run_words), 0, {}
    for file in training:
        for line, row in enumerate(read_rows(file), 1):
            texts += 1
            for leak in overlap.of(row):
                leaks.setdefault(leak["task"], {**leak, "file": str(file), "line": line})
    return {
        "n_tasks": len(tasks),
        "n_shorter": overlap.shorter,
        "run_words": run_words,
        "training_texts": texts,
        "n_leaking": len(leaks),
        "leaking": [leaks[task] for task in sorted(leaks)][:SHOWN],
    }


class Overlap:
    """Finds text of tasks in rows; see `audit`.

    Args:
        tasks, run_words: see `audit`.

    Attributes:
        shorter: number of tasks whose messages hold no run.
    """

    def __init__(self, tasks, run_words):
        entities = {
            (task["id"], " ".join(_words(name))) for task in tasks for name in task["entities"]
        }
        self._names = {word for _, entity in entities for word in entity.split()}
        self._runs, self._identifiers, self.shorter = {}, {}, 0
        self._run_words = run_words
        for task in tasks:
            found = {
                run
                for _, text in sayings(task)
                for run in _runs(_telling(_words(text), self._names), run_words)
            }
            self.shorter += not found
            for run in found:
                self._runs.setdefault(run, []).append(task["id"])
        # A run holds, wherever it starts, a shorter one that starts at a multiple of `stride`: a
        # row with none of these holds no run.
        self._stride = max(1, run_words // 2)
        self._length = run_words - self._stride + 1
        self._parts = {
            run[start : start + self._length] for run in self._runs for start in range(self._stride)
        }
        for task, entity in sorted(entities):
            if any(character.isdigit() for character in entity):
                word = entity.split()[0]
                self._identifiers.setdefault(word, []).append((f" {entity} ", task))

    def of(self, row):
        """Yield {"task", "run" or "identifier"} of what a row of training data shares."""
        words = _words(_text(row))
        kept = _telling(words, self._names)
        if not self._parts.isdisjoint(_runs(kept, self._length, self._stride)):
            for run in sorted(self._runs.keys() & set(_runs(kept, self._run_words))):
                for task in self._runs[run]:
                    yield {"task": task, "run": " ".join(run)}
        if self._identifiers.keys().isdisjoint(words):
            return
        for word in self._identifiers.keys() & set(words):
            for entity, task in self._identifiers[word]:
                if entity in f" {' '.join(words)} ":
                    yield {"task": task, "identifier": entity.strip()}


def _words(text):
    text = text.casefold()
    # The same words in a third of the time.
    return text.translate(TO_BLANK).split() if text.isascii() else re.findall(r"\w+", text)


def _telling(words, names):
    return list(filterfalse(names.__contains__, filter(str.isalpha, words)))


def _runs(words, length, stride=1):
    """Iterator over runs of words, one from each `stride` words."""
    return zip(*(words[start::stride] for start in range(length)), strict=False)


def _text(row):
    if "text" in row:
        return row["text"]
    lists = [row["messages"]] if "messages" in row else [*row.values()]
    return "\n".join(turn["content"] for turns in lists for turn in turns)
