"""Checks of a dataset's database and of the tools that are SQL on it."""

import functools
import json
import re
import sqlite3
from pathlib import Path

import jsonschema
import yaml

from specialist.agent.environment import SEARCH, open_database
from specialist.core.schema_errors import explain, near
from specialist.data.files import read_text

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
WRITING = READING | {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}


@functools.cache
def schema(name):
    """A schema of workflow/schemas as a dict."""
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def fits(value, kind, mistakes, place, *path):
    """Note what a value has against its schema; True if that is nothing."""
    errors = list(jsonschema.Draft202012Validator(schema(kind)).iter_errors(value))
    for where, text in sorted(
        ((where, text) for error in errors for where, text in explain(error)), key=str
    ):
        mistakes.add(place, *path, *where, text=text)
    return not errors


def read_database(path, mistakes):
    """The database that a script makes, in memory; an empty one without a script."""
    script = read_text(path, mistakes) if path else ""
    mistakes.stop()
    try:
        return open_database(script)
    except sqlite3.Error as error:
        line = _failing_line(script)
        mistakes.add(f"{path}:{line}", text=f"SQLite says: {error}; mend this statement")
        mistakes.stop()


def _failing_line(script):
    """The line on which the first statement starts that does not run."""
    database, statement, start = open_database(""), "", 1
    for number, line in enumerate(script.splitlines(keepends=True), 1):
        if not statement.strip():
            statement, start = "", number
        statement += line
        if sqlite3.complete_statement(statement):
            try:
                database.executescript(statement)
            except sqlite3.Error:
                break
            statement = ""
    return start


def read_tools(path, database, session_keys, mistakes):
    """The tools of a dataset, by name; without a file there are none.

    Args:
        path: tools.yaml or nothing.
        database: what their SQL must compile against.
        session_keys: names of the values that tasks give to SQL.

    Returns:
        {name: (tool, names of the session's values that its SQL takes)}
    """
    text = read_text(path, mistakes) if path else "[]"
    mistakes.stop()
    try:
        entries = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        mistakes.add(place, text=f"found no YAML ({getattr(error, 'problem', error)})")
        mistakes.stop()
    if not isinstance(entries, list):
        mistakes.add(path, text="expected a list of tools, `- name: ...` for each")
        mistakes.stop()
    tools = {}
    for number, tool in enumerate(entries):
        if not fits(tool, "tool", mistakes, path, number):
            continue
        name = tool["name"]
        place = f"{path}, tool {name}"
        if name in tools or name == SEARCH["name"]:
            other = "the search tool" if name == SEARCH["name"] else "another tool"
            mistakes.add(place, "name", text=f"{other} has this name; choose another")
            continue
        tools[name] = tool, _check_tool(tool, database, session_keys, mistakes, place)
    return tools


def _check_tool(tool, database, session_keys, mistakes, place):
    """The names that a tool's SQL takes from the session."""
    parameters, taken = tool["parameters"], set()
    try:
        jsonschema.Draft202012Validator.check_schema(parameters)
    except jsonschema.SchemaError as error:
        where = ("parameters", *error.absolute_path)
        mistakes.add(place, *where, text=f"this is no JSON schema: {error.message}")
        return taken
    if reference := re.search(r'"(\$\w*[rR]ef)": ', json.dumps(parameters, default=str)):
        text = f"found {reference[1]}, expected a schema without references; write it out"
        mistakes.add(place, "parameters", text=text)
        mistakes.stop()  # nothing can be checked against it
    required = parameters.get("required", [])
    for name in required:
        if name not in parameters["properties"]:
            hint = near(name, parameters["properties"])
            mistakes.add(
                place,
                "parameters",
                "required",
                text=f"found {name}, expected the name of one of the properties{hint}",
            )
    for name in sorted(session_keys & parameters["properties"].keys()):
        mistakes.add(
            place,
            "parameters",
            "properties",
            name,
            text="the tasks' session sets this value, which a model must not; rename it",
        )
    statements = [
        (("require", number, "sql"), guard["sql"], READING)
        for number, guard in enumerate(tool.get("require", []))
    ]
    statements += [(("sql",), tool["sql"], WRITING)] if "sql" in tool else []
    for path, sql, allowed in [*statements, (("returns",), tool["returns"], READING)]:
        for name in _bound_names(database, sql, allowed, mistakes, place, *path):
            if name in session_keys:
                taken.add(name)
            elif name not in required:
                known = [*required, *sorted(session_keys)]
                mistakes.add(
                    place,
                    *path,
                    text=f"found :{name}, expected a required parameter or a key of the tasks' "
                    f"session ({', '.join(known) or 'there is none'}){near(name, known)}",
                )
    return taken


class _Names(dict):
    """Stands in for any binding and keeps the names that were asked for."""

    def __missing__(self, name):
        self[name] = 1
        return 1


def _bound_names(database, sql, allowed, mistakes, place, *path):
    """The names that a statement binds; it is compiled, never run."""
    names, refused = _Names(), []

    def authorize(action, *_):
        if action not in allowed:
            refused.append(action)
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    database.set_authorizer(authorize)
    try:
        database.execute(f"EXPLAIN {sql}", names)
    except (sqlite3.Error, sqlite3.Warning) as error:
        does = "read and change rows" if allowed is WRITING else "only read"
        reason = f"it must {does}" if refused else f"SQLite says: {error}"
        mistakes.add(place, *path, text=f"found {sql!r}: {reason}; mend the statement")
    finally:
        database.set_authorizer(None)
    return list(names)
