"""Audit of leakage: text that held-out tasks share with the training data.

Everything that a task's customer may say counts: each wording of each request and of each rule.
"""

import re
from itertools import filterfalse

from specialist.core.text import read_rows
from specialist.data.customers import sayings

SHOWN = 20


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
    entities = {(task["id"], " ".join(_words(name))) for task in tasks for name in task["entities"]}
    names = {word for _, entity in entities for word in entity.split()}
    runs, identifiers, shorter = {}, {}, 0
    for task in tasks:
        found = {
            run
            for _, text in sayings(task)
            for run in _runs(_telling(_words(text), names), run_words)
        }
        shorter += not found
        for run in found:
            runs.setdefault(run, []).append(task["id"])
    # A run holds, wherever it starts, a shorter one that starts at a multiple of `stride`: a row
    # with none of these holds no run.
    stride = max(1, run_words // 2)
    length = run_words - stride + 1
    parts = {run[start : start + length] for run in runs for start in range(stride)}
    for task, entity in sorted(entities):
        if any(character.isdigit() for character in entity):
            identifiers.setdefault(entity.split()[0], []).append((f" {entity} ", task))
    texts, leaks = 0, {}
    for file in training:
        for line, row in enumerate(read_rows(file), 1):
            texts += 1
            words = _words(_text(row))
            place = {"file": str(file), "line": line}
            kept = _telling(words, names)
            if not parts.isdisjoint(_runs(kept, length, stride)):
                for run in sorted(runs.keys() & set(_runs(kept, run_words))):
                    for task in runs[run]:
                        leaks.setdefault(task, {"task": task, "run": " ".join(run), **place})
            if identifiers.keys().isdisjoint(words):
                continue
            for word in identifiers.keys() & set(words):
                for entity, task in identifiers[word]:
                    if entity in f" {' '.join(words)} ":
                        leak = {"task": task, "identifier": entity.strip(), **place}
                        leaks.setdefault(task, leak)
    return {
        "n_tasks": len(tasks),
        "n_shorter": shorter,
        "run_words": run_words,
        "training_texts": texts,
        "n_leaking": len(leaks),
        "leaking": [leaks[task] for task in sorted(leaks)][:SHOWN],
    }


def _words(text):
    return re.findall(r"\w+", text.casefold())


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
