"""Values of a database that differ from run to run, from a clock or random().

The script runs a second time in a world that is a day ahead, and the rows are compared.
"""

import datetime
import json
import re
import sqlite3
from collections import Counter

from specialist.agent.database import BadScript, Database, dump

AHEAD = datetime.timedelta(days=1, hours=1, minutes=1, seconds=1)
CLOCK = re.compile(
    r"current_(date|time)|random|\b(date|time|datetime|julianday|unixepoch|strftime)\s*\(", re.I
)


class NextDay(Database):
    """A database whose clock is a day ahead."""

    def __init__(self):
        super().__init__()
        clock = sqlite3.connect(":memory:")  # with the built-in functions
        now = f"{datetime.datetime.now(datetime.UTC) + AHEAD:%Y-%m-%d %H:%M:%S}"

        def ahead(name, first):
            def function(*values):
                values = [*values, "now"] if len(values) == first else values
                values = [now if str(value).lower() == "now" else value for value in values]
                marks = ", ".join("?" * len(values))
                return clock.execute(f"SELECT {name}({marks})", values).fetchone()[0]

            return function

        # Number of arguments before the time argument; without it, the time is now.
        for name, first in {
            **dict.fromkeys(("date", "time", "datetime", "julianday"), 0),
            "unixepoch": 0,
            "strftime": 1,
        }.items():
            self.create_function(name, -1, ahead(name, first), deterministic=True)
        for name, function in (("date", "date"), ("time", "time"), ("timestamp", "datetime")):
            self.create_function(f"current_{name}", 0, ahead(function, 0), deterministic=True)


def next_day(database, tools):
    """The same database a day ahead; None where no SQL reads a clock, or it cannot be made.

    Args:
        database: the database that every task starts from.
        tools: entries of tools.yaml.
    """
    if not CLOCK.search(database.script) and not CLOCK.search(json.dumps(tools)):
        return None
    world = NextDay()
    try:
        world.run(database.script)
        dump(world)
    except (BadScript, sqlite3.Error):  # PRAGMA trusted_schema = off allows no such functions
        return None
    return world


def moving_defaults(database, table):
    """Columns whose default is a clock's value or random."""
    query = "SELECT name, dflt_value FROM pragma_table_xinfo(?)"
    found = database.execute(query, [table]).fetchall()
    return {name for name, default in found if default and CLOCK.search(default)}


def moving(one, other):
    """Columns whose values differ between two runs: {table: names}.

    Args:
        one, other: {table: {"removed": [rows], "added": [rows]}} of each run.
    """
    found = {}
    for table in one.keys() & other.keys():
        for side in ("removed", "added"):
            rows, others = (run[table].get(side, []) for run in (one, other))
            for column in rows[0] if rows and len(rows) == len(others) else ():
                values, later = (Counter(row[column] for row in each) for each in (rows, others))
                if values != later:
                    found.setdefault(table, set()).add(column)
    return found
