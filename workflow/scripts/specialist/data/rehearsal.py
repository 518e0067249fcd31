"""Plays tasks before training: each must be solvable, but not by doing nothing.

An agent without tools and articles knows only the message. The message may then contain the answer,
for example a label. Only a suite that repeating the message solves completely is refused.

A solution runs on its own copy of the database, with the tools' guards and the limits of the
agent. The results of searches are not known here.
"""

import contextlib
import copy
import functools
import json
import re

from specialist.agent import react
from specialist.agent.database import columns, dump
from specialist.agent.environment import Environment
from specialist.agent.facts import holds
from specialist.agent.scoring import differences
from specialist.data.clocks import moving, moving_defaults, next_day
from specialist.data.constant import solves
from specialist.data.expected_rows import check_possible, check_rows
from specialist.data.kept_rules import check_rules

CONTROL = re.compile(r"[\x00-\x1f]")  # characters that the agent's grammar never writes
SHORTEST = 8  # bytes: hardly any tokenizer has longer tokens on average
SHOWN = 5  # differences of one task in the message


class Stage:
    """The environment of the played tasks.

    Args:
        database: the database that every task starts from.
        tools: what `specialist.data.toolbox.read_tools` returned.
        max_steps, context: the agent's limits: turns, and tokens of an exchange.
        articles: whether there are articles to search.

    Attributes:
        finds: whether an agent can find out more than the message says.
        columns: {table: names of its columns}.
        start: {table: columns of the first rows whose values differ from run to run}.
        defaults: {table: columns with such a default}.
    """

    def __init__(self, database, tools, max_steps, context, articles=True):
        self.finds = bool(tools or articles)
        self.database, self.tools = database, [tool for tool, _ in tools.values()]
        self.max_steps, self.context = max_steps, context
        self.before = dump(database)
        self.columns = {table: columns(database, table) for table in self.before}
        self.defaults = {table: moving_defaults(database, table) for table in self.before}
        self.later, self.start = next_day(database, self.tools), {}
        if self.later:
            self.later_before = dump(self.later)
            worlds = (self.before, self.later_before)
            self.start = moving(
                *({table: {"added": rows} for table, rows in world.items()} for world in worlds)
            )

    @functools.cached_property
    def rows(self):
        """{table: set of rows, each a frozenset of items} before a task or request."""
        return {
            table: {frozenset(row.items()) for row in rows} for table, rows in self.before.items()
        }

    def at(self, before, database=None):
        """The stage of a request: `before` is the dump of the database as it starts."""
        if before is self.before:
            return self
        other = copy.copy(self)
        other.__dict__.pop("rows", None)
        other.before, other.database = before, database or self.database
        return other

    def play(self, task):
        """Run the calls of a task's solution.

        Returns:
            (changes, records of the calls, {table: columns whose values differ from run to run})
        """
        found, records = self._play(self.database, self.before, task)
        if not self.later:
            return found, records, {}
        return found, records, moving(found, self._play(self.later, self.later_before, task)[0])

    def _play(self, world, before, task):
        with contextlib.closing(world.copy()) as copied:
            seen = copied.total_changes
            environment = Environment(copied, self.tools, task["session"], search=lambda query: "")
            calls = [step for step in task["solution"] if "call" in step]
            records = [environment.call(step["call"], step["arguments"])[1] for step in calls]
            # A dump takes most of the time.
            return environment.changes(before) if copied.total_changes != seen else {}, records


def rehearse(task, stage, mistakes, place):
    """Note why a task cannot be solved, or is solved by doing nothing.

    Args:
        task: a row of the tasks, every key filled in, which fits its schema and the tools.
        stage: a `Stage`.
    """
    _check_expectation(task, stage, mistakes, place)
    before = len(mistakes.found)
    if "solution" not in task:
        if check_rows(task, stage, None, mistakes, place):
            check_possible(task, stage, mistakes, place)
        return
    check_turns(task["solution"], mistakes, place)
    if len(task["solution"]) > stage.max_steps:
        text = f"found {len(task['solution'])} steps, but agent.max_steps allows {stage.max_steps}"
        mistakes.add(place, "solution", text=f"{text}; shorten it or raise the limit")
    changes, records, differing = stage.play(task)
    check_repeats(task["solution"], records, mistakes, place)
    check_length(task, records, stage.context, mistakes, place)
    rows_fit = check_rows(task, stage, differing, mistakes, place)
    if not rows_fit or len(mistakes.found) > before:
        return
    check_outcome(task, changes, records, task["solution"][-1]["answer"], mistakes, place)
    check_rules(task, [records], stage, mistakes, place)


def check_outcome(task, changes, records, answer, mistakes, place):
    """Note results of a solution that are not expected.

    Args:
        task: a task or a request, with "expect".
        records: results of the solution's calls, one for each step.
        answer: its answer, or all of its answers as one text.
    """
    refused = [
        f" (solution[{number}] was refused: {record['error']})"
        for number, record in enumerate(records)
        if record and "error" in record
    ]
    for number, (path, text) in enumerate(differences(task, changes, answer)):
        if number < SHOWN:
            hint = refused[0] if refused and path[0] == "database" else ""
            text += f" after the solution{hint}; fix `expect` or `solution`"
            mistakes.add(place, "expect", *path, text=text)


def _check_expectation(task, stage, mistakes, place):
    facts = task["expect"]["answer"]
    check_facts(facts, mistakes, place)
    if not solves(task, task["message"]) or (facts and not stage.finds):
        return
    if facts:
        text = "the message already contains all of it, so repeating the message solves the task"
        text += "; add a fact that the agent has to find, or rows of the database"
        mistakes.add(place, "expect", "answer", text=text)
    else:
        text = "found no change of the database and no fact, so any answer solves the task"
        mistakes.add(place, "expect", text=f"{text}; add `answer` or `database`")


def check_facts(facts, mistakes, place):
    """Note facts that are in no answer, such as a comma."""
    for number, fact in enumerate(facts):
        if not holds(fact, fact):
            text = f"found {json.dumps(fact, ensure_ascii=False)}, which no answer can contain"
            mistakes.add(place, "expect", "answer", number, text=f"{text}; write a word or number")


def check_turns(steps, mistakes, place):
    for number, step in enumerate(steps):
        for key in ("thought", "answer"):
            if control := CONTROL.search(step.get(key, "")):
                text = f"found {control[0]!r}, which the agent cannot write; use one line of text"
                mistakes.add(place, "solution", number, key, text=text)


def check_repeats(steps, records, mistakes, place):
    done = [
        (step.get("call"), step.get("arguments"), record)
        for step, record in zip(steps, records, strict=False)
    ]
    for number in range(1, len(done)):
        if done[number] == done[number - 1] and done[number][0]:
            text = "found the call and the result of the step before; the agent would stop here"
            mistakes.add(place, "solution", number, text=f"{text}; remove it")


def check_length(task, records, context, mistakes, place):
    """Note a solution that is too long for the context, whatever the tokenizer."""
    steps = [step if "answer" in step else {**step, "observation": ""} for step in task["solution"]]
    turns = react.messages(task["message"], steps)
    text = "".join([turn["content"] for turn in turns])
    text += "".join(json.dumps(record, ensure_ascii=False) for record in records)
    least = len(text.encode()) // SHORTEST
    if least > context:
        text = (
            f"found a conversation of at least {least} tokens, but agent.context allows {context}"
        )
        mistakes.add(place, "solution", text=f"{text}; shorten it or raise the limit")
