"""Plays tasks before training: each must be solvable, but not by doing nothing.

An agent without tools and articles knows only the message, so its answer, a label for example, may
stand there. Then only a suite that repeating the message solves as a whole is refused.

A solution runs on its own copy of the database, with the tools' guards and the limits of the
agent. What a search brings is not known here.
"""

import contextlib
import json
import re
import sqlite3

from specialist.agent import react
from specialist.agent.database import changes, columns, dump
from specialist.agent.environment import Environment
from specialist.agent.facts import holds
from specialist.agent.scoring import differences
from specialist.data.clocks import moving, moving_defaults, next_day
from specialist.data.constant import solves

CONTROL = re.compile(r"[\x00-\x1f]")  # which the agent's grammar never writes
SHORTEST = 8  # bytes: the tokens of hardly a tokenizer are longer on average
SHOWN = 5  # differences of one task in the message


class Stage:
    """The environment of the played tasks.

    Args:
        database: the database that every task starts from.
        tools: what `specialist.data.toolbox.read_tools` returned.
        max_steps, context: the agent's limits: turns, and tokens of a conversation.
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
        self.rows = {
            table: {frozenset(row.items()) for row in rows} for table, rows in self.before.items()
        }
        self.columns = {table: columns(database, table) for table in self.before}
        self.defaults = {table: moving_defaults(database, table) for table in self.before}
        self.later, self.start = next_day(database, self.tools), {}
        if self.later:
            self.later_before = dump(self.later)
            worlds = (self.before, self.later_before)
            self.start = moving(
                *({table: {"added": rows} for table, rows in world.items()} for world in worlds)
            )

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
        with contextlib.closing(world.copy()) as copy:
            environment = Environment(copy, self.tools, task["session"], search=lambda query: "")
            calls = [step for step in task["solution"] if "call" in step]
            records = [environment.call(step["call"], step["arguments"])[1] for step in calls]
            return environment.changes(before), records


def rehearse(task, stage, mistakes, place):
    """Note why a task cannot be solved, or is solved by doing nothing.

    Args:
        task: a row of the tasks, every key filled in, which fits its schema and the tools.
        stage: a `Stage`.
    """
    _check_expectation(task, stage, mistakes, place)
    before = len(mistakes.found)
    if "solution" not in task:
        if _check_rows(task, stage, None, mistakes, place):
            _check_possible(task, stage, mistakes, place)
        return
    _check_turns(task["solution"], mistakes, place)
    if len(task["solution"]) > stage.max_steps:
        text = f"found {len(task['solution'])} steps, but agent.max_steps allows {stage.max_steps}"
        mistakes.add(place, "solution", text=f"{text}; shorten it or raise the limit")
    changes, records, differing = stage.play(task)
    _check_repeats(task["solution"], records, mistakes, place)
    _check_length(task, records, stage.context, mistakes, place)
    rows_fit = _check_rows(task, stage, differing, mistakes, place)
    if not rows_fit or len(mistakes.found) > before:
        return
    refused = [
        f" (solution[{number}] was refused: {record['error']})"
        for number, record in enumerate(records)
        if "error" in record
    ]
    answer = task["solution"][-1]["answer"]
    for number, (path, text) in enumerate(differences(task, changes, answer)):
        if number < SHOWN:
            hint = refused[0] if refused and path[0] == "database" else ""
            text += f" after the solution{hint}; fix `expect` or `solution`"
            mistakes.add(place, "expect", *path, text=text)


def _check_expectation(task, stage, mistakes, place):
    facts = task["expect"]["answer"]
    for number, fact in enumerate(facts):
        if not holds(fact, fact):
            text = f"found {json.dumps(fact, ensure_ascii=False)}, which no answer can hold"
            mistakes.add(place, "expect", "answer", number, text=f"{text}; write a word or number")
    if not solves(task, task["message"]) or (facts and not stage.finds):
        return
    if facts:
        text = "the message already contains all of it, so repeating the message solves the task"
        text += "; add a fact that the agent has to find, or rows of the database"
        mistakes.add(place, "expect", "answer", text=text)
    else:
        text = "found no change of the database and no fact, so any answer solves the task"
        mistakes.add(place, "expect", text=f"{text}; add `answer` or `database`")


def _check_turns(steps, mistakes, place):
    for number, step in enumerate(steps):
        for key in ("thought", "answer"):
            if control := CONTROL.search(step.get(key, "")):
                text = f"found {control[0]!r}, which the agent cannot write; use one line of text"
                mistakes.add(place, "solution", number, key, text=text)


def _check_repeats(steps, records, mistakes, place):
    calls = [(step["call"], step["arguments"]) for step in steps if "call" in step]
    done = list(zip(calls, records, strict=True))
    for number in range(1, len(done)):
        if done[number] == done[number - 1]:
            text = "found the call and the result of the step before, which ends an episode"
            mistakes.add(place, "solution", number, text=f"{text} as a loop; remove it")


def _check_length(task, records, context, mistakes, place):
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


def _check_rows(task, stage, differing, mistakes, place):
    """Note rows with other columns than their table's, or that the database does not hold.

    A row holds all columns that SELECT * gives. Only those whose values differ from run to run
    are left out, as no row can foretell them.

    Args:
        differing: {table: such columns} of the rows that the solution changes, or None without
            a solution.

    Returns:
        whether all rows are right.
    """
    before = len(mistakes.found)
    for table, change in task["expect"]["database"].items():
        known = stage.columns[table]
        own = stage.start.get(table, set()) if differing is None else differing.get(table, set())
        free = own | stage.start.get(table, set()) | stage.defaults[table]
        left = None
        for side, number, row in [(s, *pair) for s in change for pair in enumerate(change[s])]:
            where = ("expect", "database", table, side, number)
            missing = set(known) - row.keys()
            moved = row.keys() & (own if differing is not None or side == "removed" else set())
            if row.keys() - set(known) or missing - free:
                text = f"found {', '.join(row)}, expected all columns of the table and no other: "
                text += ", ".join(known)
                if free:
                    text += f" (without {', '.join(sorted(free))} if they differ from run to run)"
            elif moved:
                where = (*where, sorted(moved)[0])
                text = "its value differs from run to run, as a clock's does or random(); leave "
                text += f"it out of all rows of {table}, or let the SQL give it a fixed value"
            elif left is not None and left != missing:
                text = f"found {', '.join(row)}, expected the columns of the rows before it; leave "
                text += f"the same columns out of all rows of {table}"
            elif side == "removed" and not _is_held(row, missing, stage, table):
                text = f"found {json.dumps(row, ensure_ascii=False)}, expected a row that the "
                text += "database holds before the task"
            elif (
                side == "removed"
                and change[side].index(row) < number
                and _too_often(row, change[side], stage.before[table])
            ):
                text = "found this row more often than the database holds it; remove it here"
            else:
                left = missing
                continue
            mistakes.add(place, *where, text=text)
    return len(mistakes.found) == before


def _too_often(row, rows, held):
    return rows.count(row) > sum(row.items() <= other.items() for other in held)


def _is_held(row, missing, stage, table):
    if not missing:
        return frozenset(row.items()) in stage.rows[table]
    return any(row.items() <= held.items() for held in stage.before[table])


def _check_possible(task, stage, mistakes, place):
    """Note added rows that their table cannot hold, by its types, CHECKs and keys."""
    with contextlib.closing(stage.database.copy()) as copy:
        copy.execute("PRAGMA foreign_keys = off")
        query = "SELECT type, name FROM {} WHERE type = 'trigger'"
        for schema in ("sqlite_master", "sqlite_temp_master"):
            for _, name in copy.execute(query.format(schema)).fetchall():
                copy.execute(f"DROP TRIGGER {_quoted(name)}")
        for table, change in task["expect"]["database"].items():
            if not change["added"]:
                continue
            query = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
            names = [name for (name,) in copy.execute(query, [table])]
            try:
                _remove(copy, table, change["removed"])
                for row in change["added"]:
                    given = [name for name in names if name in row]
                    copy.execute(
                        f"INSERT INTO main.{_quoted(table)} ({', '.join(map(_quoted, given))}) "
                        f"VALUES ({', '.join('?' * len(given))})",
                        [row[name] for name in given],
                    )
            except (sqlite3.IntegrityError, OverflowError) as error:
                text = f"the table cannot hold {json.dumps(row, ensure_ascii=False)}: {error}"
                mistakes.add(place, "expect", "database", table, "added", text=text)
                continue
            except sqlite3.Error:
                continue  # a virtual table, which has rules of its own
            wanted = {
                **task["expect"],
                "database": {table: {"added": change["added"]}},
                "answer": [],
            }
            found = changes({table: stage.before[table]}, {table: dump(copy)[table]})
            found = {table: {"added": found.get(table, {}).get("added", [])}}
            for path, text in differences({"expect": wanted}, found, None):
                text += " when the table holds the row; fix it"
                mistakes.add(place, "expect", *path, text=text)


def _remove(copy, table, rows):
    """Delete the rows; where one is not found, as with blobs, all of the table."""
    for row in rows:
        where = " AND ".join(f"{_quoted(name)} IS ?" for name in row)
        query = f"DELETE FROM main.{_quoted(table)} WHERE {where}"
        if not copy.execute(query, list(row.values())).rowcount:
            copy.execute(f"DELETE FROM main.{_quoted(table)}")


def _quoted(name):
    return '"{}"'.format(name.replace('"', '""'))
