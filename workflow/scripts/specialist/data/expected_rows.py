"""Checks of the rows that tasks expect: they must fit their tables and the rows before."""

import contextlib
import json
import sqlite3

from specialist.agent.database import changes, dump
from specialist.agent.scoring import differences


def check_rows(task, stage, differing, mistakes, place):
    """Note rows with other columns than their table's, or that the database does not hold.

    A row holds all columns that SELECT * gives. Only those whose values differ from run to run
    are left out, because no row can predict them.

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
                text = "its value differs from run to run, such as a time or random(); leave "
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


def check_possible(task, stage, mistakes, place):
    """Note added rows that their table cannot hold, by its types, CHECKs and keys."""
    with contextlib.closing(without_triggers(stage.database)) as copied:
        for table, change in task["expect"]["database"].items():
            if not change["added"]:
                continue
            try:
                remove_rows(copied, table, change["removed"])
                for row in change["added"]:
                    add_row(copied, table, row)
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
            found = changes({table: stage.before[table]}, {table: dump(copied)[table]})
            found = {table: {"added": found.get(table, {}).get("added", [])}}
            for path, text in differences({"expect": wanted}, found, None):
                text += " when the table holds the row; fix it"
                mistakes.add(place, "expect", *path, text=text)


def without_triggers(database):
    """A copy of a database that takes rows as they are, in any order."""
    copied = database.copy()
    copied.execute("PRAGMA foreign_keys = off")
    for schema in ("sqlite_master", "sqlite_temp_master"):
        query = f"SELECT name FROM {schema} WHERE type = 'trigger'"
        for (name,) in copied.execute(query).fetchall():
            copied.execute(f"DROP TRIGGER {_quoted(name)}")
    return copied


def add_row(copied, table, row):
    """Add a row as a task expects it; columns that it leaves out get their default."""
    query = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
    given = [name for (name,) in copied.execute(query, [table]) if name in row]
    copied.execute(
        f"INSERT INTO main.{_quoted(table)} ({', '.join(map(_quoted, given))}) "
        f"VALUES ({', '.join('?' * len(given))})",
        [row[name] for name in given],
    )


def remove_rows(copied, table, rows):
    """Delete the rows; where one is not found, as with blobs, all of the table."""
    for row in rows:
        where = " AND ".join(f"{_quoted(name)} IS ?" for name in row)
        query = f"DELETE FROM main.{_quoted(table)} WHERE {where}"
        if not copied.execute(query, list(row.values())).rowcount:
            copied.execute(f"DELETE FROM main.{_quoted(table)}")


def _quoted(name):
    return '"{}"'.format(name.replace('"', '""'))
