"""Plays conversations before training: the solution of each request, with its simulated customer.

The calls of all requests run in order on one copy of the database. The customer hears the
solution's answers, and the rules of the tools hold as they do in the agent's loop.
"""

import contextlib
import sqlite3
from collections import namedtuple

from specialist.agent.customer import Customer, requests
from specialist.agent.database import changes, dump
from specialist.agent.environment import Environment
from specialist.core.patterns import found
from specialist.data.clocks import moving
from specialist.data.customers import rules, rules_of
from specialist.data.expected_rows import (
    add_row,
    check_possible,
    check_rows,
    remove_rows,
    without_triggers,
)
from specialist.data.idle import check_idle
from specialist.data.kept_rules import check_rules
from specialist.data.rehearsal import (
    check_length,
    check_outcome,
    check_repeats,
    check_turns,
)

# The outcome of a request's solution: the dump of the database before it, what it changed, results
# of its steps (None for answers), {table: columns whose values differ from run to run}.
Played = namedtuple("Played", "before changes records differing")


def rehearse_conversation(task, stage, mistakes, place):
    """Note why a conversation cannot be solved, or is solved by doing nothing.

    Args:
        task: a row of the tasks with "requests", every key filled in, which fits its schema and
            the tools.
        stage: a `specialist.data.rehearsal.Stage`.
    """
    asked, before = requests(task), len(mistakes.found)
    check_idle(task, mistakes, place)
    solved = ["solution" in request for request in asked]
    if not any(solved):
        _check_unsolved(asked, stage, mistakes, place)
        return
    if not all(solved):
        text = "found no solution, but other requests have one; write one for each, or for none"
        mistakes.add(place, "requests", solved.index(False), "solution", text=text)
        return
    messages = _listen(task, asked, mistakes, place)
    if not messages or len(mistakes.found) > before:
        return
    played = _carry_out(task, asked, stage)
    for number, request in enumerate(asked):
        here, result = mistakes.within("requests", number), played[number]
        opened = [message for message in messages if message.request == number]
        _check_steps(request, opened, result.records, stage, here, place)
        _check_confirmed(request, opened, result.records, stage, here, place)
        if not check_rows(request, stage.at(result.before), result.differing, here, place):
            return
        answers = "\n".join(step["answer"] for step in request["solution"] if "answer" in step)
        check_outcome(request, result.changes, result.records, answers, here, place)
        if len(mistakes.found) > before:
            return  # what follows builds on it
    check_rules(task, [result.records for result in played], stage, mistakes, place)


def _check_unsolved(asked, stage, mistakes, place):
    """Check the expected rows of requests without solutions, each after those before it."""
    with contextlib.ExitStack() as opened:
        for number, request in enumerate(asked):
            here = mistakes.within("requests", number)
            if not check_rows(request, stage, None, here, place):
                return
            before = len(mistakes.found)
            check_possible(request, stage, here, place)
            if len(mistakes.found) > before or not request["expect"]["database"]:
                continue
            copied = opened.enter_context(contextlib.closing(without_triggers(stage.database)))
            try:
                for table, change in request["expect"]["database"].items():
                    remove_rows(copied, table, change["removed"])
                    for row in change["added"]:
                        add_row(copied, table, row)
            except sqlite3.Error:
                return  # a virtual table, which has rules of its own
            stage = stage.at(dump(copied), copied)


def _listen(task, asked, mistakes, place):
    """The customer's messages when the solution replies, a `Message` for each of its answers.

    None if the two do not fit.
    """
    before = len(mistakes.found)
    answers = [
        [(at, step["answer"]) for at, step in enumerate(request["solution"]) if "answer" in step]
        for request in asked
    ]
    for path, rule in rules(task):
        heard = answers[path[1]] if path[0] == "requests" else sum(answers, [])
        if not rule.get("vain") and not any(found(rule["hears"], text) for _, text in heard):
            text = f"found {rule['hears']!r}, which matches no answer of the solution; fix it, "
            mistakes.add(place, *path, "hears", text=f"{text}or remove the rule")
    if len(mistakes.found) > before:
        return None
    customer, messages = Customer(task), []
    message = customer.opening()
    for number, replies in enumerate(answers):
        for at, answer in replies:
            messages.append(message)
            message = customer.hear(answer)
            text = _out_of_step(message, number, at == replies[-1][0], len(asked))
            if text:
                mistakes.add(place, "requests", number, "solution", at, "answer", text=text)
                return None
    for path, rule in rules(task):
        if not rule.get("vain") and id(rule) not in customer.used:
            text = f"found {rule['hears']!r}, which is never used: rules before it hear the same "
            mistakes.add(place, *path, "hears", text=f"{text}answers; move it up or remove it")
    return messages


def _out_of_step(message, number, last, count):
    """What is wrong with the customer's message after an answer of request `number`, or None."""
    if message and message.source == "vain":
        return "a rule with `vain` matches this: it asks for what the customer had said; remove it"
    going_on = message and message.request == number
    if last and going_on:
        return (
            f"this is the last answer, but a rule matches it and the customer says "
            f"{message.text!r}; narrow `hears`, or add steps"
        )
    if not last and not going_on:
        after = "goes on to the next request" if number + 1 < count else "leaves"
        return f"no rule matches this, so the customer {after}; add a rule, or remove later steps"
    return None


def _carry_out(task, asked, stage):
    """A list of `Played`, one for each request."""
    now = _run(stage.database, stage.before, task, asked, stage.tools)
    if not stage.later:
        return [Played(*result, {}) for result in now]
    later = _run(stage.later, stage.later_before, task, asked, stage.tools)
    return [Played(*one, moving(one[1], two[1])) for one, two in zip(now, later, strict=True)]


def _run(world, before, task, asked, tools):
    results = []
    with contextlib.closing(world.copy()) as copied:
        environment = Environment(copied, tools, task["session"], search=lambda query: "")
        for request in asked:
            seen = copied.total_changes
            records = [
                environment.call(step["call"], step["arguments"])[1] if "call" in step else None
                for step in request["solution"]
            ]
            after = before if copied.total_changes == seen else dump(copied)
            differ = changes(before, after) if after is not before else {}
            results.append((before, differ, records))
            before = after
    return results


def _exchanges(steps):
    """Yield (index of the first step, steps) of each exchange: its calls and its answer."""
    start = 0
    for at, step in enumerate(steps, 1):
        if "answer" in step:
            yield start, steps[start:at]
            start = at


def _check_steps(request, opened, records, stage, mistakes, place):
    """Note steps that the loop refuses: too many, too long, or repeated."""
    check_turns(request["solution"], mistakes, place)
    check_repeats(request["solution"], records, mistakes, place)
    for message, (start, steps) in zip(opened, _exchanges(request["solution"]), strict=True):
        if len(steps) > stage.max_steps:
            text = f"found {len(steps)} steps for one message, but agent.max_steps allows "
            text += f"{stage.max_steps}; shorten it or raise the limit"
            mistakes.add(place, "solution", start, text=text)
        results = [record for record in records[start : start + len(steps)] if record is not None]
        exchange = {"message": message.text, "solution": steps}
        check_length(exchange, results, stage.context, mistakes, place)


def _check_confirmed(request, opened, records, stage, mistakes, place):
    """Note a write before the customer's yes, and a yes that no write follows."""
    yes = next((at for at, message in enumerate(opened) if message.confirms), None)
    if yes is None:
        return
    start = [start for start, _ in _exchanges(request["solution"])][yes]
    writing = {tool["name"] for tool in stage.tools if "sql" in tool}
    writes = [at for at, step in enumerate(request["solution"]) if step.get("call") in writing]
    early = [at for at in writes if at < start and "error" not in records[at]]
    for at in early:
        text = f"{request['solution'][at]['call']} changes the database before the customer "
        mistakes.add(place, "solution", at, text=f"{text}confirms it; move it after the yes")
    if not early and not any(at >= start for at in writes):
        for path, rule in rules_of(request):
            if rule.get("confirms"):
                text = "found a yes, but no call of the solution after it changes the "
                text += "database; add the call, or remove `confirms`"
                mistakes.add(place, *path, "confirms", text=text)
