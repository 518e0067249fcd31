"""Calls that a dataset's tools carry out, with arguments and sessions from rows of its database."""

import contextlib
import json
import random
import re

import jsonschema

from specialist.agent.database import columns, dump
from specialist.agent.environment import Environment
from specialist.core.json_schema import Validator
from specialist.data.toolbox import schema

TEXT = re.compile(r"'[^']*'")
BOUND = re.compile(r":([A-Za-z_]\w*)")
COMPARED = r"([\w.]+)\s*(?:=|==|<>|!=|<=|>=|<|>|IS|LIKE)\s*:{0}\b"
TRIES = 400  # draws for one tool


def bound_names(tool):
    """The names that a tool's SQL binds, in their order."""
    return list(dict.fromkeys(BOUND.findall(_sql(tool))))


def session_names(tools):
    """The names that the SQL of some tools takes from the session: those of no parameter.

    Args:
        tools: what tools.yaml holds; what is no tool is left to the check of the file.
    """
    right = jsonschema.Draft202012Validator(schema("tool")).is_valid
    tools = filter(right, tools if isinstance(tools, list) else [])
    found = [(tool["parameters"]["properties"], bound_names(tool)) for tool in tools]
    return {name for properties, names in found for name in names if name not in properties}


class Calls:
    """Draws calls and plays each on its own copy of the database.

    Args:
        tools: entries of tools.yaml.
        database: see `specialist.agent.database.open_database`.
        seed: of the draws.
    """

    def __init__(self, tools, database, seed):
        self.tools, self.database, self.seed = tools, database, seed
        self.before = dump(database)
        self.columns = {table: columns(database, table) for table in self.before}

    def of(self, tool, count):
        """Different calls of a tool that its guards allow, and that find or change something.

        Returns:
            list of at most `count` dicts: "tool", "arguments", "session", "result" (text that the
            model reads) and "changes" of the database.
        """
        chance, found = random.Random(f"{self.seed}/{tool['name']}"), {}
        places = {name: self._place(tool, name) for name in bound_names(tool)}
        for _ in range(TRIES if count else 0):
            call = self._drawn(tool, places, chance)
            key = call and json.dumps(call["arguments"], sort_keys=True)
            if call and key not in found and (played := self._played(tool, call)):
                found[key] = played
                if len(found) == count:
                    break
        return list(found.values())

    def _drawn(self, tool, places, chance):
        """Arguments and session with values of one row of each table, or None."""
        rows = {table: chance.choice(rows) for table, rows in self.before.items() if rows}
        properties, arguments, session = tool["parameters"]["properties"], {}, {}
        for name, place in places.items():
            schema = properties.get(name, {})
            if "enum" in schema:
                value = chance.choice(schema["enum"])
            elif place and place[0] in rows:
                table, column, new = place
                row = chance.choice(self.before[table]) if new else rows[table]
                value = row[column]
            else:
                return None
            if name in properties:
                arguments[name] = str(value) if schema.get("type") == "string" else value
            else:
                session[name] = value
        fits = Validator({**tool["parameters"], "additionalProperties": False}).is_valid(arguments)
        return {"arguments": arguments, "session": session} if fits else None

    def _played(self, tool, call):
        """The call with its result and its changes; None if it is refused or comes to nothing."""
        with contextlib.closing(self.database.copy()) as copy:
            environment = Environment(copy, [tool], call["session"])
            result, record = environment.call(tool["name"], call["arguments"])
            changes = environment.changes(self.before) if "sql" in tool else {}
        empty = record == {"rows": []} or ("sql" in tool and not changes)
        if "error" in record or empty:
            return None
        return {"tool": tool["name"], **call, "result": result, "changes": changes}

    def _place(self, tool, name):
        """(table, column, whether it is a new value) whose values a name takes, or None.

        It is the column that the SQL compares the name with, else one that is called like it.
        """
        text = _sql(tool)
        named = [*re.findall(COMPARED.format(name), text, re.IGNORECASE), name]
        here = [table for table in self.columns if re.search(rf"\b{table}\b", text)]
        for column in named:
            table, _, plain = column.rpartition(".")
            for each in [table] if table in self.columns else [*here, *self.columns]:
                if plain in self.columns[each]:
                    return each, plain, self._is_new(tool, name)
        return None

    @staticmethod
    def _is_new(tool, name):
        """Whether a name is only set and never compared: it may have the value of another row."""
        guards = " ".join(guard["sql"] for guard in tool.get("require", []))
        sets = re.search(rf"\bSET\b[^;]*?=\s*:{name}\b", tool.get("sql", ""), re.IGNORECASE)
        where = re.search(rf"\bWHERE\b[^;]*:{name}\b", f"{tool.get('sql', '')} {guards}", re.I)
        return bool(sets) and not where


def _sql(tool):
    """All SQL of a tool without its texts."""
    parts = [guard["sql"] for guard in tool.get("require", [])]
    return TEXT.sub("''", "\n".join([*parts, tool.get("sql", ""), tool["returns"]]))
