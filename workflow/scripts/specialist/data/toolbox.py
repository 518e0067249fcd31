"""Checks of a dataset's database and of the tools that are SQL on it."""

import functools
import json
import re
import sqlite3
from pathlib import Path

import jsonschema
import yaml

from specialist.agent.database import BadScript, dump, open_database, reason, statements
from specialist.agent.environment import SEARCH
from specialist.core.json_schema import Validator, check_schema, pattern_problems
from specialist.core.schema_errors import explain, near
from specialist.data.files import read_text
from specialist.data.tool_rules import check_rules
from specialist.data.tool_yaml import read_yaml, written

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
COMBINED = ("allOf", "anyOf", "oneOf")
READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
NEVER = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA}
WRITING = READING | {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}


@functools.cache
def schema(name):
    """A schema of workflow/schemas as a dict."""
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def fits(value, kind, mistakes, place, *path):
    """Note where a value does not fit its schema; True if it fits."""
    errors = list(jsonschema.Draft202012Validator(schema(kind)).iter_errors(value))
    for where, text in sorted(
        ((where, text + _quotes(error)) for error in errors for where, text in explain(error)),
        key=str,
    ):
        mistakes.add(place, *path, *where, text=text)
    return not errors


def _quotes(error):
    scalar = isinstance(error.instance, (bool, int, float))
    wanted = error.validator == "type" and error.validator_value == "string"
    return "; put quotes around it" if scalar and wanted else ""


def read_database(path, mistakes):
    """The database that a script makes, in memory; an empty one without a script."""
    script = read_text(path, mistakes) if path else ""
    mistakes.stop()
    try:
        # Read with the newlines of a text file, as the agent reads it.
        database = open_database(script.replace("\r\n", "\n").replace("\r", "\n"))
        dump(database)
        return database
    except BadScript as error:
        mistakes.add(f"{path}:{error.line}", text=error.reason)
    except (sqlite3.Error, MemoryError) as error:
        mistakes.add(path, text=f"the tables cannot be read: {reason(error, 0)}")
    mistakes.stop()


def read_tools(path, database, session_keys, mistakes):
    """The tools of a dataset, by name; without a file there are none.

    Args:
        path: tools.yaml or nothing.
        database: the database for which their SQL must compile.
        session_keys: names of the values that tasks give to SQL.

    Returns:
        {name: (tool, names of the session's values that its SQL takes)}
    """
    entries, node = read_yaml(path, mistakes) if path else ([], None)
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
        taken, text_at = set(), functools.partial(written, node.value[number])
        if _check_parameters(tool["parameters"], session_keys, mistakes, place, text_at):
            taken = _check_sql(tool, database, session_keys, mistakes, place)
        tools[name] = tool, taken
    check_rules({name: tool for name, (tool, _) in tools.items()}, path, mistakes)
    mistakes.stop()  # tasks cannot be checked against these
    return tools


def _check_parameters(parameters, session_keys, mistakes, place, text_at):
    """Note what is wrong with a tool's parameters; True if SQL can be checked against them.

    Args:
        text_at: function from a path in the tool to the text that stands there in the file.
    """
    if wrong := [*pattern_problems(parameters)]:
        for path, text in wrong:
            mistakes.add(place, "parameters", *path, text=text)
        return False
    try:
        check_schema(parameters)
    except jsonschema.SchemaError as error:
        where = ("parameters", *error.absolute_path)
        mistakes.add(place, *where, text=f"this is not a JSON schema: {error.message}")
        return False
    if reference := re.search(r'"(\$\w*[rR]ef)": ', json.dumps(parameters)):
        text = f"found {reference[1]}, expected a schema without references; write it out"
        mistakes.add(place, "parameters", text=text)
        mistakes.stop()  # nothing can be checked against it
    properties = parameters["properties"]
    for name in parameters.get("required", []):
        if name not in properties:
            expected = f"expected the name of one of the properties{near(name, properties)}"
            mistakes.add(place, "parameters", "required", text=f"found {name}, {expected}")
    for name in sorted(session_keys & properties.keys()):
        text = "the tasks' session sets this value, so the model must not; rename it"
        mistakes.add(place, "parameters", "properties", name, text=text)
    _check_values(parameters, text_at, mistakes, place, "parameters")
    return True


def _check_values(part, text_at, mistakes, place, *path):
    """Note values in a JSON schema that do not fit the schema that they stand in."""
    listed = [(("const",), part["const"])] if "const" in part else []
    listed += [(("enum", number), value) for number, value in enumerate(part.get("enum", []))]
    shown = [(("default",), part["default"])] if "default" in part else []
    shown += [
        (("examples", number), value) for number, value in enumerate(part.get("examples", []))
    ]
    for values, left_out in (
        (listed, {"const", "enum", "default", "examples"}),
        (shown, {"default", "examples"}),
    ):
        rest = {key: value for key, value in part.items() if key not in left_out}
        for where, value in values:
            for error in Validator(rest).iter_errors(value):
                text = f"{error.message}, as its own schema requires; choose another value"
                if error.validator == "type" and error.validator_value == "string":
                    raw = text_at((*path, *where))
                    found = f"{raw}, which YAML reads as {json.dumps(value)}" if raw else value
                    text = f"found {found}, expected text; put quotes around it"
                mistakes.add(place, *path, *where, *error.absolute_path, text=text)
    inner = [((key, at), child) for key in COMBINED for at, child in enumerate(part.get(key, []))]
    for where, child in [*inner, (("not",), part.get("not"))]:
        if isinstance(child, dict):  # it holds beside the type of the schema that it stands in
            child = {**{key: part[key] for key in ("type",) if key in part}, **child}
            _check_values(child, text_at, mistakes, place, *path, *where)
    for name, child in part.get("properties", {}).items():
        _check_values(child, text_at, mistakes, place, *path, "properties", name)
    if isinstance(part.get("items"), dict):
        _check_values(part["items"], text_at, mistakes, place, *path, "items")


def _check_sql(tool, database, session_keys, mistakes, place):
    """The names that a tool's SQL takes from the session."""
    required, taken = tool["parameters"].get("required", []), set()
    parts = [
        (("require", number, "sql"), guard["sql"], READING)
        for number, guard in enumerate(tool.get("require", []))
    ]
    parts += [(("sql",), tool["sql"], WRITING)] if "sql" in tool else []
    for path, text, allowed in [*parts, (("returns",), tool["returns"], READING)]:
        found = [sql for _, sql in statements(text)]
        if not found or (allowed is READING and len(found) > 1):
            expected = "one statement" if allowed is READING else "a statement"
            mistakes.add(place, *path, text=f"found {len(found)} statements, expected {expected}")
            continue
        names = [_bound_names(database, sql, allowed, mistakes, place, *path) for sql in found]
        for name in dict.fromkeys(name for each in names for name in each):
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


def written_tables(database, tools):
    """Which tables the tools change, by themselves or by triggers: {name: bool}.

    Args:
        database: see `read_tools`.
        tools: what `read_tools` returned.
    """
    written = set()

    def note(action, table, *_):
        if action in WRITING - READING:
            written.add(table)
        return sqlite3.SQLITE_OK

    try:
        database.set_authorizer(note)
        for tool, _ in tools.values():
            for _, sql in statements(tool.get("sql", "")):
                database.execute(f"EXPLAIN {sql}", _Names())
    finally:
        database.protect()
    virtual = [
        name
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'"
        )
        if name in written
    ]
    return {
        table: table in written or any(table.startswith(f"{name}_") for name in virtual)
        for table in dump(database)
    }


class _Names(dict):
    """Stands in for any binding and keeps the names that were asked for."""

    def __missing__(self, name):
        self[name] = 1
        return 1


def _bound_names(database, sql, allowed, mistakes, place, *path):
    """The names that a statement binds; it is compiled, never run."""
    names, refused = _Names(), []

    def first(action, *_):
        # SQLite runs some PRAGMAs as it compiles them.
        return sqlite3.SQLITE_DENY if action in NEVER else sqlite3.SQLITE_OK

    def authorize(action, *_):
        if action not in allowed:
            refused.append(action)
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    try:
        # The first use of a table-valued function such as json_each declares its columns, which
        # SQLite reports as a change of the schema. What is compiled again is only what it does.
        for authorizer in (first, authorize):
            database.set_authorizer(authorizer)
            database.execute(f"EXPLAIN {sql}", names)
    except (sqlite3.Error, sqlite3.Warning) as error:
        does = "read and change rows" if allowed is WRITING else "only read"
        forbidden = refused or "authoriz" in str(error)
        why = f"it must {does}" if forbidden else f"SQLite says: {error}"
        mistakes.add(place, *path, text=f"found {sql!r}: {why}; fix the statement")
    finally:
        database.protect()
    return list(names)
