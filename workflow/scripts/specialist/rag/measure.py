"""Measures whether the questions of tasks find the right articles."""

import difflib
import json
import time

import numpy as np

from specialist.core.errors import UserError
from specialist.rag.index_files import embedded_text, nearest, rows
from specialist.rag.ranking import How, sentences
from specialist.rag.retrieval import ndcg, recall, reciprocal_rank

DEPTH = 10  # ranks looked at; a right article further down counts as not found
TIE = 1e-5  # difference in similarity below which two chunks are equally near
SAMPLE = 256  # chunks that are embedded again
BATCH = 500  # messages searched for at a time
TIMED = 100  # messages whose search is timed
MOST_QUESTIONS, SHOWN, MOST_CHARACTERS = 1000, 3, 200  # rows of tasks in retrieval.json


def read_tasks(path, records):
    """The tasks in a JSONL file; for a conversation, each request as a task of its own.

    Raises:
        UserError: there are none, or one names an article without chunks.
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


def variants(searcher):
    """{name: `How`} of the searches that are compared; the last is the index's own."""
    own = searcher.how
    learned = [True, False] if searcher.shift is not None else [False]
    found = {}
    for move in reversed(learned):
        for split in (False, True):
            name = ["dense", *["learned"] * move, *["by sentence"] * split]
            found[", ".join(name)] = How(sentences=split, learned=move)
    if searcher.words:
        found["BM25"] = How(dense=False, bm25=True)
        found["dense + BM25"] = How(bm25=True, sentences=own.sentences)
    if own.reranker:
        found["without reranker"] = own._replace(reranker=None)
    mine = _same(own, searcher)
    kept = {name: how for name, how in found.items() if _same(how, searcher) != mine}
    named = next((name for name in found if name not in kept), "as configured")
    return kept | {named: own}


def _same(how, searcher):
    """The difference between two ways to search; without a shift, `learned` does not count."""
    dense = how.dense and (how.sentences, how.learned and searcher.shift is not None)
    return dense, how.bm25, how.articles, how.reranker


def search(searcher, tasks):
    """The chunks that each variant finds for each task, without their texts.

    Returns:
        {name of the variant: list of lists of {"id", "source", "title", "score"}}
    """
    messages = [task["message"] for task in tasks]
    found = {name: [] for name in variants(searcher)}
    for start in range(0, len(messages), BATCH):
        for name, how in variants(searcher).items():
            for hits in searcher.search_all(messages[start : start + BATCH], how=how):
                kept = [{key: hit[key] for key in hit if key != "text"} for hit in hits]
                found[name].append(kept)
    return found


def milliseconds(searcher, tasks):
    """{name of the variant: (median, 95th percentile)} of a search for one message, in ms.

    The embedding of each text was timed when it was made.
    """
    step = -(-len(tasks) // TIMED)
    asked, found = [task["message"] for task in tasks[::step]], {}
    for name, how in variants(searcher).items():
        taken = []
        for message in asked:
            start = time.perf_counter()
            searcher.search_all([message], how=how)
            taken.append(time.perf_counter() - start)
            if how.dense:
                parts = sentences(message) if how.sentences else [message]
                taken[-1] += sum(searcher.seconds[part] for part in parts)
        found[name] = [1000 * float(part) for part in np.percentile(taken, [50, 95])]
    return found


def agreement(searcher, tasks, records, embeddings):
    """For each task, whether the three chunks nearest to its message are as near as the exact ones.

    Returns:
        list of bool
    """
    messages, whole = [task["message"] for task in tasks], How(sentences=False)
    vectors = searcher.embed(messages)
    best, _ = nearest(embeddings, vectors, SHOWN)
    found = []
    for start in range(0, len(messages), BATCH):
        found += searcher.search_all(messages[start : start + BATCH], top_k=SHOWN, how=whole)
    wanted = {hit["id"] for hits in found for hit in hits}
    row = {record["id"]: i for i, record in enumerate(records) if record["id"] in wanted}
    agreed = []
    for hits, vector, scores in zip(found, vectors, best, strict=True):
        mine = rows(embeddings, [row[hit["id"]] for hit in hits]) @ vector
        agreed.append(len(mine) == len(scores) and np.allclose(mine, scores, rtol=0, atol=TIE))
    return agreed


def encoder_distance(encoder, records, embeddings):
    """Largest cosine distance between stored embeddings and those of the query encoder."""
    numbers = range(0, len(records), -(-len(records) // SAMPLE))
    made = encoder.documents([embedded_text(records[number]) for number in numbers])
    return float(1 - (made * rows(embeddings, numbers)).sum(axis=1).min())


def figures(tasks, found, agreed, taken):
    """The content of retrieval.json; see measure_retrieval.

    Args:
        tasks: what `read_tasks` found.
        found, agreed, taken: of `search`, `agreement` and `milliseconds`.
    """
    judged = [number for number, task in enumerate(tasks) if task.get("kb")]
    rights = [set(tasks[number]["kb"]) for number in judged]
    table = []
    for name, hits in found.items():
        ranked = [[hit["source"] for hit in hits[number]] for number in judged]
        median, high = taken[name]
        table.append(
            {"variant": name, **measures(ranked, rights), "ms_p50": median, "ms_p95": high}
        )
    own = table[-1]
    questions = [_question(tasks[number], [*found.values()][-1][number]) for number in judged]
    if len(questions) > MOST_QUESTIONS:
        questions.sort(key=lambda row: row["hit"])
    return {
        **{key: own[key] for key in ("recall_at_1", "recall_at_3", "mrr")},
        "n": len(judged),
        "variant": own["variant"],
        "variants": table,
        "agreement_with_exact_search": _mean(agreed),
        "questions": questions[:MOST_QUESTIONS],
        "questions_left_out": max(0, len(questions) - MOST_QUESTIONS),
    }


def measures(ranked, rights):
    """Mean measures of rankings; all None without any.

    Args:
        ranked: for each question, the sources of the chunks found, best first; the first `DEPTH`
            count.
        rights: for each question, the set of the right sources.

    Returns:
        dict: recall_at_1, recall_at_3, mrr and ndcg_at_10; see `measure_retrieval`.
    """
    rows = [*zip(ranked, rights, strict=True)]
    return {
        "recall_at_1": _mean(recall(sources[:1], right) for sources, right in rows),
        "recall_at_3": _mean(recall(sources[:3], right) for sources, right in rows),
        "mrr": _mean(reciprocal_rank(sources[:DEPTH], right) for sources, right in rows),
        "ndcg_at_10": _mean(ndcg(sources, right) for sources, right in rows),
    }


def _question(task, hits):
    """What was found for one task."""
    right = set(task["kb"])
    rank = next((i for i, hit in enumerate(hits, 1) if hit["source"] in right), None)
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
