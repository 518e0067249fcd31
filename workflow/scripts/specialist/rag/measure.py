"""Measures whether the questions of tasks find the right articles."""

import difflib
import json

import numpy as np

from specialist.core.errors import UserError
from specialist.rag.index_files import embedded_text, nearest, rows
from specialist.rag.retrieval import recall, reciprocal_rank

DEPTH = 10  # ranks looked at; a right article further down counts as not found
TIE = 1e-5  # difference in similarity below which two chunks are equally near
SAMPLE = 256  # chunks that are embedded again
BATCH = 500  # messages searched for at a time
MOST_QUESTIONS, SHOWN, MOST_CHARACTERS = 1000, 3, 200  # what retrieval.json holds of each task


def read_tasks(path, records):
    """The tasks in a JSONL file; for a conversation, each request as a task of its own.

    Raises:
        UserError: there are none, or one names an article that no chunk is of.
    """
    with open(path, encoding="utf-8") as lines:
        loaded = [json.loads(line) for line in lines if line.strip()]
    tasks = [question for task in loaded for question in _questions(task)]
    if not tasks:
        raise UserError(f"{path}: found no tasks to measure the retrieval; add tasks")
    missing = {name for task in tasks for name in task.get("kb") or ()}
    if missing:
        missing -= {record["source"] for record in records if record["source"] in missing}
    for task in tasks:
        for name in task.get("kb") or ():
            if name in missing:
                sources = {record["source"] for record in records}
                near = difflib.get_close_matches(name, sources, 1)
                raise UserError(
                    f"{path}, task {task['id']}, field kb: no article '{name}' in the knowledge "
                    f"base{f'; did you mean {near[0]!r}?' if near else ''}"
                )
    return tasks


def _questions(task):
    """What the agent is asked in a task, in the first wording."""
    if "requests" not in task:
        return [task]
    return [
        {
            "id": f"{task['id']}, requests[{number}]",
            "message": said if isinstance(said := request["says"], str) else said[0],
            "kb": request.get("kb", []),
        }
        for number, request in enumerate(task["requests"])
    ]


def search(searcher, tasks, records, embeddings):
    """The chunks found for each task, without their texts; and whether the exact ones are as near.

    Returns:
        (list of lists of {"id", "source", "title", "score"}, list of bool)
    """
    messages, found = [task["message"] for task in tasks], []
    for start in range(0, len(messages), BATCH):
        for hits in searcher.search_all(messages[start : start + BATCH]):
            found.append([{key: hit[key] for key in hit if key != "text"} for hit in hits])
    vectors = searcher.embed(messages)
    best, _ = nearest(embeddings, vectors, 3)
    wanted = {hit["id"] for hits in found for hit in hits[:3]}
    row = {record["id"]: i for i, record in enumerate(records) if record["id"] in wanted}
    agreed = []
    for hits, vector, scores in zip(found, vectors, best, strict=True):
        mine = rows(embeddings, [row[hit["id"]] for hit in hits[:3]]) @ vector
        agreed.append(len(mine) == len(scores) and np.allclose(mine, scores, rtol=0, atol=TIE))
    return found, agreed


def encoder_distance(encoder, records, embeddings):
    """Largest cosine distance between stored embeddings and those of the query encoder."""
    numbers = range(0, len(records), -(-len(records) // SAMPLE))
    made = encoder.documents([embedded_text(records[number]) for number in numbers])
    return float(1 - (made * rows(embeddings, numbers)).sum(axis=1).min())


def figures(tasks, found, agreed):
    """The content of retrieval.json; see measure_retrieval.

    Args:
        tasks: what `read_tasks` found.
        found, agreed: what `search` found for them.
    """
    judged = [
        (task, [hit["source"] for hit in hits], set(task["kb"]), hits)
        for task, hits in zip(tasks, found, strict=True)
        if task.get("kb")
    ]
    questions = [_question(*row) for row in judged]
    if len(questions) > MOST_QUESTIONS:
        questions.sort(key=lambda row: row["hit"])
    return {
        "recall_at_1": _mean(recall(sources[:1], right) for _, sources, right, _ in judged),
        "recall_at_3": _mean(recall(sources[:3], right) for _, sources, right, _ in judged),
        "mrr": _mean(reciprocal_rank(sources, right) for _, sources, right, _ in judged),
        "n": len(judged),
        "agreement_with_exact_search": _mean(agreed),
        "questions": questions[:MOST_QUESTIONS],
        "questions_left_out": max(0, len(questions) - MOST_QUESTIONS),
    }


def _question(task, sources, right, hits):
    """What was found for one task."""
    rank = next((i for i, source in enumerate(sources, 1) if source in right), None)
    return {
        "task": task["id"],
        "message": task["message"][:MOST_CHARACTERS],
        "expected": task["kb"],
        "found": [
            {"id": hit["id"], "title": hit["title"], "score": round(hit["score"], 4)}
            for hit in hits[:SHOWN]
        ],
        "rank": rank,
        "hit": rank is not None and rank <= SHOWN,
    }


def _mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None
