"""Judges an episode by its end state and replies, and classifies failures.

A task is solved if every exchange ended with an answer, every request got its facts, the database
changed exactly as expected, and nothing was changed before it was requested or confirmed. A
failure gets the first of these classes that fits. Classes with a star exist in conversations only.

    forbidden_action   it changed a table that the task leaves alone, or more rows than
                       expected, or brought a number higher than expected: it gave or took
                       what it must not
    acted_unasked*     it changed something before the customer requested or confirmed it, or tried
                       to in a request that needs no change, such as thanks
    context_overflow   the conversation did not fit into the context
    step_limit         no answer within the steps or messages allowed, or the same step again
                       and again
    malformed_turn     a turn that is too long or cannot be read

Of a conversation, the first request that failed decides the rest:

    retrieval_miss     no search brought an article that the request needs; a conversation
                       without any search belongs to the next three classes, if one fits
    asked_in_vain*     it asked for what the request had said, or a question without an answer,
                       instead of the next call
    forgot_context*    the same for what was said before the request; or a call with an
                       argument of an earlier request
    stopped_too_early* the next call is missing: it answered, ended or handed over instead
    wrong_tool         the first call that differs from the solution's is of another tool, is
                       missing, or is one too many (searches aside)
    bad_argument       that call is of the right tool, with other arguments
    wrong_state        the database is not as expected
    missing_fact       a reply lacks a fact
"""

import json
from itertools import zip_longest

from specialist.agent.environment import SEARCH
from specialist.agent.facts import holds
from specialist.agent.harm import unrequested
from specialist.agent.parts import exchanges, own_changes, parts
from specialist.agent.rules import QUESTION
from specialist.agent.states import NONE, compared, elements, fits, together

ENDS = {
    "context_overflow": "context_overflow",
    "step_limit": "step_limit",
    "loop": "step_limit",
    "message_limit": "step_limit",
    "token_limit": "malformed_turn",
    "malformed_turn": "malformed_turn",
}

CUT = ("token_limit", "context_overflow")  # how an exchange ends whose last turn was cut off


def failure(task, trace, tools=()):
    """The class of a failed episode, or None if the task is solved.

    Args:
        task: a row of the tasks, every key filled in.
        trace: its `specialist.agent.record.Trace`, as a dict.
        tools: entries of the dataset's tools.yaml; one with a `fallback` hands over.
    """
    found, held = parts(task, trace), exchanges(task, trace)
    requested = [part.request["expect"].get("database", {}) for part in found]
    expected, actual = compared(together(*requested), trace["changes"])
    ended = [each["ended"] for each in held] + [trace["ended"]]
    if (
        set(ended) == {"answer"}
        and expected == actual
        and all(part.exchanges and part.informed for part in found)
        and not any(unrequested(task, trace))
        and not ("requests" in task and _meddled(found, tools))
    ):
        return None
    handing_over = _handing_over(found, held, tools)
    own = [each for n, each in enumerate(own_changes(held)) if n not in handing_over]
    if not fits(requested, together(*own)):
        return "forbidden_action"
    if any(unrequested(task, trace, ignored=handing_over)) or (
        "requests" in task and _meddled(found, tools)
    ):
        return "acted_unasked"
    for each in ended:
        if each in ENDS:
            return ENDS[each]
    failed = [number for number, part in enumerate(found) if not part.solved]
    return _of_part(found, failed[0] if failed else 0, "requests" in task, tools)


def _meddled(found, tools):
    """Whether the agent tried to change something in a request that needs no call."""
    writing = {tool["name"] for tool in tools if tool.get("sql")}
    return any(
        step["call"] in writing and step.get("by", "agent") == "agent"
        for part in found
        if "solution" in part.request and not _needed(part)
        for step in part.steps
    )


def _handing_over(found, held, tools):
    """Exchanges of a conversation in which a call for a person is all that the agent wrote."""
    last_resort = {tool["name"] for tool in tools if "fallback" in tool}
    wrote = [set() for _ in held]
    for part in found:
        for step in part.steps:
            if step.get("wrote"):
                wrote[step.get("exchange", 0)].add(step["call"])
    return {place for place, calls in enumerate(wrote) if calls and calls <= last_resort}


def _of_part(found, number, talked, tools):
    """The class of the first part that failed."""
    part = found[number]
    if not part.exchanges:
        return "stopped_too_early"
    wanted, made = _first_difference(part)
    kind = _of_conversation(found, number, wanted, made, tools) if talked else None
    searched = any(step["call"] == SEARCH["name"] for step in part.steps)
    sources = {source for step in part.steps for source in step["sources"]}
    if set(part.request.get("kb", [])) - sources and (searched or not kind):
        return "retrieval_miss"
    if kind:
        return kind
    if wanted or made:
        same_tool = wanted and made and wanted[0] == made[0]
        return "bad_argument" if same_tool else "wrong_tool"
    return "missing_fact" if part.done else "wrong_state"


def _of_conversation(found, number, wanted, made, tools):
    """The class of a part by what was said before, or None."""
    part, earlier = found[number], found[:number]
    if not made:
        if any(each["source"] == "vain" for each in part.exchanges):
            return "forgot_context" if _said_before(part, earlier) else "asked_in_vain"
        if wanted:
            asked = QUESTION.search(part.exchanges[-1]["reply"] or "")
            return "asked_in_vain" if asked else "stopped_too_early"
        return None
    if wanted and any(tool["name"] == made[0] and "fallback" in tool for tool in tools):
        return "stopped_too_early" if wanted[0] != made[0] else None
    other = _values([made]) - _values(_needed(part))
    if any(_belongs(value, earlier) and not holds(_words([part]), value) for value in other):
        return "forgot_context"
    return None


def _said_before(part, earlier):
    """Whether an argument that a request needs was said before it, and not again."""
    own, before = _words([part]), _words(earlier)
    return any(holds(before, value) and not holds(own, value) for value in _values(_needed(part)))


def _belongs(value, earlier):
    """Whether a value is of an earlier request: in its words, or an argument of its calls."""
    calls = [call for part in earlier for call in [*_needed(part), *_made(part.steps)]]
    return value in _values(calls) or holds(_words(earlier), value)


def _values(calls):
    """The arguments of calls, as texts."""
    given = [value for _, arguments in calls for value in arguments.values()]
    return {value if isinstance(value, str) else json.dumps(value) for value in given}


def _words(some):
    """What the customer said unasked, or as an answer to a fair question."""
    said = [each for part in some for each in part.exchanges if each["source"] != "vain"]
    return "\n".join(each["message"] for each in said)


def mistakes(task, trace):
    """Yield what is wrong with a failed episode, as texts that start with a place in the task."""
    held = exchanges(task, trace)
    for number, part in enumerate(parts(task, trace)):
        place = f"requests.{number}." if "requests" in task else ""
        if not part.exchanges:
            yield f"{place}says: the conversation ended before the customer said this"
            continue
        for each in part.exchanges:
            if each["ended"] != "answer":
                yield f"{place and f'{place}solution: '}it ended with {each['ended']}"
        for where, text in differences(part.request, part.changes, part.replies):
            yield f"{place}expect.{'.'.join(map(str, where))}: {text}"
    for place, changes in unrequested(task, trace):
        yield (
            f"before the reply to {_short(held[place]['message'])}, the agent changed "
            f"{', '.join(sorted(changes))}, which the customer had not requested or confirmed"
        )


def differences(task, changes, answer):
    """Differences between an outcome and the expected one, field by field.

    Args:
        task: a task with one message or a request, every key filled in.
        changes: see `specialist.agent.database.changes`.
        answer: the answer, or None.

    Yields:
        (path below `expect`, what is wrong there).
    """
    expected, actual = compared(task["expect"]["database"], changes)
    for table in sorted(expected.keys() | actual.keys()):
        sides = zip(
            ("removed", "added"), expected.get(table, NONE), actual.get(table, NONE), strict=True
        )
        for side, wanted, found in sides:
            path = ("database", table, side)
            wanted, found = (
                [dict(row) for row in elements(a - b)]
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


def _short(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 200 else text[:200] + " ..."


def _first_difference(part):
    """The first call that differs from the solution's: (call wanted, call made), None if missing.

    Both are None without a difference, or without a solution.
    """
    if "solution" in part.request:
        for wanted, made in zip_longest(_needed(part), _made(part.steps)):
            if wanted != made:
                return wanted, made
    return None, None


def _needed(part):
    """The calls of a request's solution."""
    return _made(part.request.get("solution", []))


def _made(steps):
    """The calls of steps as (name, arguments), without searches."""
    calls = [(step["call"], step["arguments"]) for step in steps if step.get("call")]
    return [call for call in calls if call[0] != SEARCH["name"]]
