"""Judges an episode by its end state and answer, and classifies failures.

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

import json
from collections import Counter
from itertools import zip_longest

from specialist.agent.environment import SEARCH
from specialist.agent.facts import holds

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
        trace: its `specialist.agent.record.Trace`, as a dict.
    """
    expected, actual = _compared(task["expect"]["database"], trace["changes"])
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


def differences(task, changes, answer):
    """Differences between an outcome and the expected one, field by field.

    Args:
        task: a row of the tasks, every key filled in.
        changes: see `specialist.agent.database.changes`.
        answer: the answer, or None.

    Yields:
        (path below `expect`, what is wrong there).
    """
    expected, actual = _compared(task["expect"]["database"], changes)
    for table in sorted(expected.keys() | actual.keys()):
        sides = zip(
            ("removed", "added"), expected.get(table, NONE), actual.get(table, NONE), strict=True
        )
        for side, wanted, found in sides:
            path = ("database", table, side)
            wanted, found = (
                [dict(row) for row in _elements(a - b)]
                for a, b in ((wanted, found), (found, wanted))
            )
            for row in wanted:
                if not found:
                    yield path, f"expected {_short(row)}, which does not happen"
                    continue
                near = max(found, key=lambda other: len(row.items() & other.items()))
                found.remove(near)
                for column in sorted(row.keys() | near.keys()):
                    if row.get(column) != near.get(column):
                        values = (
                            f"expected {_short(row.get(column))}, found {_short(near.get(column))}"
                        )
                        yield (*path, column), values
            for row in found:
                yield path, f"found {_short(row)}, which is not expected"
    for number, fact in enumerate(task["expect"]["answer"]):
        if not holds(answer, fact):
            yield ("answer", number), f"expected {_short(fact)} in the answer {_short(answer)}"


NONE = (Counter(), Counter())


def _elements(rows):
    # In a fixed order: the items of a frozenset have none.
    return sorted(rows.elements(), key=lambda row: json.dumps(dict(row), sort_keys=True))


def _short(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 200 else text[:200] + " ..."


def _compared(expected, actual):
    """Expected and actual changes in a form that compares equal whatever the order.

    Columns that a table's expected rows leave out are left out of its actual rows too.

    Returns:
        both as {table: (Counter of removed rows, Counter of added rows)}, a row a frozenset.
    """
    named = {
        table: {column for rows in change.values() for row in rows for column in row}
        for table, change in expected.items()
    }
    return _rows(expected, {}), _rows(actual, named)


def _rows(changes, named):
    tables = {}
    for table, change in changes.items():
        kept = named.get(table)
        removed, added = (
            Counter(
                frozenset((key, value) for key, value in row.items() if not kept or key in kept)
                for row in change.get(side, ())
            )
            for side in ("removed", "added")
        )
        # Rows may be equal but for a column that is left out.
        tables[table] = removed - added, added - removed
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
