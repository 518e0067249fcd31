"""Refuses suites that cannot measure an agent, because one behaviour solves all of their tasks."""

import json

from specialist.agent.facts import holds
from specialist.agent.scoring import failure

SHOWN = 60  # characters of an answer in the message


def solves(task, answer, changes=None):
    """Whether an answer, and changes of the database, solve a task."""
    trace = {"ended": "answer", "answer": answer, "changes": changes or {}, "steps": []}
    return failure({**task, "kb": []}, trace) is None


def check_suite(tasks, stage, mistakes, place):
    """Note a suite of several tasks that are all solved in one way.

    The ways are repeating the message, and the same answer for each task, also after the calls of
    the first solution.

    Args:
        tasks: rows of the tasks; all can be solved.
        stage: a `specialist.data.rehearsal.Stage`.
        place: the file of the tasks.
    """
    if len({task["message"] for task in tasks}) < 2:
        return
    if all(solves(task, task["message"]) for task in tasks):
        text = "repeating the message solves all tasks; add tasks whose answer it does not contain"
        mistakes.add(place, text=text)
        return
    answer = _common_answer(tasks)
    if answer is None:
        return
    calls = [step for step in tasks[0].get("solution", ()) if "call" in step]
    if all(solves(task, answer) for task in tasks):
        after = ""
    elif calls and all(solves(task, answer, _played(calls, task, stage)) for task in tasks):
        after = " after the calls of the first solution"
    else:
        return
    shown = json.dumps(answer[:SHOWN], ensure_ascii=False)
    text = f"the answer {shown}{after} solves all {len(tasks)} tasks"
    mistakes.add(place, text=f"{text}; add tasks with another answer or other rows")


def _common_answer(tasks):
    """An answer that holds the facts of all tasks, or None."""
    facts = dict.fromkeys(fact for task in tasks for fact in task["expect"]["answer"])
    answers = dict.fromkeys(" ".join(task["expect"]["answer"]) for task in tasks)
    for task in tasks:
        answers |= {step["answer"]: None for step in task.get("solution", ()) if "answer" in step}
    return next((each for each in answers if all(holds(each, fact) for fact in facts)), None)


def _played(calls, task, stage):
    return stage.play({**task, "solution": calls})[0]
