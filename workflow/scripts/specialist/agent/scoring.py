"""Judges an episode by what it left behind, and says in what way a failed one went wrong.

A task is solved if the agent answered, the database changed exactly as expected, and the
answer holds every required fact. A failure belongs to the first of these classes that fits:

    forbidden_action  it changed a table that the task leaves alone, or more rows than
                      expected, or brought a number higher than expected: it gave or took
                      what it must not
    context_overflow  the conversation did not fit into the context
    step_limit        no answer within the steps allowed, or the same step again and again
    malformed_turn    a turn that is too long or cannot be read
    retrieval_miss    no search brought an article that the task needs
    wrong_tool        the first call that differs from the solution's is of another tool, is
                      missing, or is one too many (searches aside)
    bad_argument      that call is of the right tool, with other arguments
    wrong_state       the database is not as expected (tasks without a solution)
    missing_fact      the answer lacks a fact
"""

import re
from collections import Counter
from itertools import zip_longest

from specialist.agent.environment import SEARCH

ENDS = {
    "context_overflow": "context_overflow",
    "step_limit": "step_limit",
    "loop": "step_limit",
    "token_limit": "malformed_turn",
    "malformed_turn": "malformed_turn",
}

CUT = ("token_limit", "context_overflow")  # how an episode ends whose last turn was cut off


def failure(task, trace):
    """The class of a failed episode, or None if the task is solved.

    Args:
        task: a row of the tasks, every key filled in.
        trace: its `specialist.agent.loop.Trace`, as a dict.
    """
    expected, actual = _rows(task["expect"]["database"]), _rows(trace["changes"])
    facts = task["expect"]["answer"]
    informed = all(holds(trace["answer"], fact) for fact in facts)
    if trace["ended"] == "answer" and expected == actual and informed:
        return None
    if _goes_beyond(expected, actual):
        return "forbidden_action"
    if trace["ended"] in ENDS:
        return ENDS[trace["ended"]]
    found = {source for step in trace["steps"] for source in step["sources"]}
    if set(task["kb"]) - found:
        return "retrieval_miss"
    if "solution" in task and (kind := _first_difference(task["solution"], trace["steps"])):
        return kind
    return "missing_fact" if expected == actual else "wrong_state"


def holds(answer, fact):
    """Whether a fact stands in an answer, in any case, on its own: 40 is not in 140 or 40.5."""
    if answer is None:
        return False
    words = re.escape(" ".join(fact.split()).casefold())
    pattern = rf"(?<!\w)(?<!\d[.,]){words}(?!\w)(?![.,]\d)"
    return re.search(pattern, " ".join(answer.split()).casefold()) is not None


def _rows(changes):
    """Changes that compare equal whatever the order of rows and columns: table -> two Counters."""
    tables = {
        table: tuple(
            Counter(frozenset(row.items()) for row in change.get(side, ()))
            for side in ("removed", "added")
        )
        for table, change in changes.items()
    }
    return {table: sides for table, sides in tables.items() if any(sides)}


def _goes_beyond(expected, actual):
    for table, (removed, added) in actual.items():
        if table not in expected:
            return True
        may_remove, may_add = expected[table]
        if removed.total() > may_remove.total() or added.total() > may_add.total():
            return True
        net, may = _sums(added), _sums(may_add)
        net.subtract(_sums(removed))
        may.subtract(_sums(may_remove))
        if any(value > may[column] for column, value in net.items()):
            return True
    return False


def _sums(rows):
    """The sum of each column of numbers."""
    sums = Counter()
    for row, count in rows.items():
        for column, value in row:
            if isinstance(value, (int, float)):
                sums[column] += count * value
    return sums


def _first_difference(solution, steps):
    """The class of the first call that differs from the solution's, or None."""
    right, done = (
        [(step["call"], step["arguments"]) for step in part if step.get("call")]
        for part in (solution, steps)
    )
    right, done = ([call for call in calls if call[0] != SEARCH["name"]] for calls in (right, done))
    for wanted, made in zip_longest(right, done):
        if wanted != made:
            same_tool = wanted and made and wanted[0] == made[0]
            return "bad_argument" if same_tool else "wrong_tool"
    return None
