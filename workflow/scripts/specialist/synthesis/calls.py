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
        self._places = {
            tool["name"]: {name: self._place(tool, name) for name in bound_names(tool)}
            for tool in tools
        }
        self.given = set()  # keys of the calls that `of` gave

    def of(self, tool, count):
        """Different calls of a tool that its guards allow, and that find or change something.

        Returns:
            list of at most `count` dicts: "tool", "arguments", "session", "result" (text that the
            model reads) and "changes" of the database.
        """
        chance, found = random.Random(f"{self.seed}/{tool['name']}"), {}
        for _ in range(TRIES if count else 0):
            call = self._drawn(tool, chance, self.before)
            key = call and _key(call)
            if call and key not in found and (played := self._played([call])):
                found[key] = played[0]
                if len(found) == count:
                    break
        self.given |= found.keys()
        return list(found.values())

    def together(self, count):
        """Calls that one customer makes one after the other, on one copy of the database.

        The first calls take turns through the tools. Calls that `of` has not given are preferred.

        Returns:
            list of at most `count` lists of one or two dicts; see `of`. Each call has the result
            and the changes after those before it. No two lists begin with the same call.
        """
        chance, found, taken = random.Random(f"{self.seed}/together"), [], set()
        for number in range(count if self.tools else 0):
            first = self._another(self.tools[number % len(self.tools)], [], taken, chance)
            if not first:
                continue
            whole = first
            if number % 2:  # every second customer wants two things
                others = self.tools[number % len(self.tools) :] + self.tools
                more = (self._another(tool, first, set(), chance) for tool in others[1:])
                whole = next(filter(None, more), first)
            taken.add(_key(whole[0]))
            found.append(whole)
        return found

    def _another(self, tool, earlier, taken, chance):
        """The calls `earlier` and one more of a tool, all played; None without one.

        Args:
            taken: keys of calls that are not drawn again.
        """
        session, before = {}, self.before
        if earlier:
            session = earlier[0]["session"]
            with contextlib.closing(self._world(earlier)) as world:
                before = dump(world)
        for left in reversed(range(TRIES)):
            call = self._drawn(tool, chance, before, session)
            avoided = taken | (self.given if left > TRIES // 2 else set())
            if not call or _key(call) in {*avoided, *map(_key, earlier)}:
                continue
            if played := self._played([*earlier, call]):
                return played
        return None

    def _drawn(self, tool, chance, rows_of, session=None):
        """Arguments and session with values of one row of each table, or None.

        Args:
            rows_of: {table: rows} to draw from.
            session: values that the session has already; rows with these values are drawn.
        """
        known, properties = session or {}, tool["parameters"]["properties"]
        places, rows, arguments, own = self._places[tool["name"]], {}, {}, {}
        for table, several in rows_of.items():
            for name, place in places.items():
                if name in known and place and place[0] == table:
                    several = [row for row in several if row[place[1]] == known[name]]
            if several:
                rows[table] = chance.choice(several)
        for name, place in places.items():
            schema = properties.get(name, {})
            if "enum" in schema:
                value = chance.choice(schema["enum"])
            elif place and place[0] in rows:
                table, column, new = place
                row = chance.choice(rows_of[table]) if new else rows[table]
                value = row[column]
            else:
                return None
            if name in properties:
                arguments[name] = str(value) if schema.get("type") == "string" else value
            elif known.get(name, value) != value:
                return None
            else:
                own[name] = value
        fits = Validator({**tool["parameters"], "additionalProperties": False}).is_valid(arguments)
        call = {"tool": tool["name"], "arguments": arguments, "session": {**known, **own}}
        return call if fits else None

    def _played(self, calls):
        """Calls of one session with their results and changes, each after those before it.

        None if a call is refused or has no effect. The last call may add names to the session.
        """
        found, session, before = [], calls[-1]["session"], self.before
        with contextlib.closing(self.database.copy()) as copy:
            environment = Environment(copy, self.tools, session)
            for call in calls:
                result, record = environment.call(call["tool"], call["arguments"])
                writes = environment.writes(call["tool"])
                changes = environment.changes(before) if writes else {}
                before = dump(copy) if changes else before
                if "error" in record or record == {"rows": []} or (writes and not changes):
                    return None
                played = {"session": session, "result": result, "changes": changes}
                found.append({**call, **played})
        return found

    def _world(self, calls):
        """A copy of the database after some calls of one session."""
        copy = self.database.copy()
        environment = Environment(copy, self.tools, calls[-1]["session"])
        for call in calls:
            environment.call(call["tool"], call["arguments"])
        return copy

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


def _key(call):
    return json.dumps([call["tool"], call["arguments"]], sort_keys=True)


def _sql(tool):
    """All SQL of a tool without its texts."""
    parts = [guard["sql"] for guard in tool.get("require", [])]
    return TEXT.sub("''", "\n".join([*parts, tool.get("sql", ""), tool["returns"]]))
