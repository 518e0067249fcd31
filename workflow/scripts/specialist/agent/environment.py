"""The agent's world: a task's own copy of the database, and tools that are data, not code.

A tool is an entry of tools.yaml: a JSON schema of its parameters, guards (`require`), a
change (`sql`) and what the model reads afterwards (`returns`), all parameterised SQL. Values
are bound, never pasted, and names such as `customer_id` come from the session, so that
nothing a model writes can widen what a tool does.
"""

import json
import math
import sqlite3

SEARCH = {
    "name": "search",
    "description": "Search the handbook.",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
    },
}
CALL_STEPS = 10_000_000  # of SQLite's virtual machine in one call, under a second
LONGEST = 10_000_000  # bytes of one value


def open_database(script):
    """SQLite database in memory, made by an SQL script (schema and rows).

    No statement on it, now or later, can reach a file.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.set_authorizer(_in_memory)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.text_factory = lambda data: data.decode(errors="replace")
    connection.executescript(script)
    return connection


def _in_memory(action, *_):
    # VACUUM INTO attaches the file that it writes.
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def dump(connection):
    """Every row of every table, as {table: [row as a dict, ...]} in a fixed order.

    What JSON cannot hold is text: a blob in hexadecimal digits, an infinite number as inf.
    """
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = [name for (name,) in connection.execute(query)]
    return {
        table: _rows(connection.execute('SELECT * FROM "{}"'.format(table.replace('"', '""'))))
        for table in tables
    }


def _rows(cursor):
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor]


def _plain(value):
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def changes(before, after):
    """What differs between two dumps: {table: {"removed": [rows], "added": [rows]}}.

    An updated row counts as one removed and one added. Tables without a change are left out.
    """
    result = {}
    for table, rows in after.items():
        if rows == before[table]:
            continue
        old, new = _keys(before[table]), _keys(rows)
        removed, added = sorted(old - new), sorted(new - old)
        if removed or added:
            result[table] = {
                "removed": [json.loads(key) for key, _ in removed],
                "added": [json.loads(key) for key, _ in added],
            }
    return result


def _keys(rows):
    # Equal rows are told apart by a running number, so that a doubled row counts as a change.
    seen, keys = {}, set()
    for row in rows:
        key = json.dumps(row, sort_keys=True)
        seen[key] = seen.get(key, 0) + 1
        keys.add((key, seen[key]))
    return keys


class Environment:
    """Runs tool calls for one customer on one copy of the database.

    Args:
        connection: the copy of the database this episode may change.
        tools: entries of tools.yaml.
        session: values that SQL may use by name and the model cannot set.
        search: function from a query to the text of the best passages, or None.
    """

    def __init__(self, connection, tools, session, search=None):
        self.connection, self.session, self.search = connection, session, search
        self.tools = {tool["name"]: tool for tool in tools}

    def call(self, name, arguments):
        """The result of one call, as the text that the model reads.

        Returns:
            (text, record): `record` is the result as a dict, with the key "error" when the
            call was refused; nothing was changed then.
        """
        if name == SEARCH["name"] and self.search:
            return self.search(arguments["query"]), {}
        record = self._run(self.tools.get(name), name, arguments)
        return json.dumps(record, ensure_ascii=False), record

    def signature(self, name):
        """JSON schema of a tool's parameters."""
        return SEARCH["parameters"] if name == SEARCH["name"] else self.tools[name]["parameters"]

    def dump(self):
        return dump(self.connection)

    def changes(self, before):
        return changes(before, self.dump())

    def _run(self, tool, name, arguments):
        if tool is None:
            return {"error": f"there is no tool {name}"}
        values = {**arguments, **self.session}
        self._limit_work()
        self.connection.execute("BEGIN")
        try:
            for guard in tool.get("require", []):
                if self.connection.execute(guard["sql"], values).fetchone() is None:
                    self.connection.execute("ROLLBACK")
                    return {"error": guard["otherwise"]}
            if "sql" in tool:
                self.connection.execute(tool["sql"], values)
            rows = _rows(self.connection.execute(tool["returns"], values))
            self.connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, UnicodeError) as error:  # what SQLite cannot hold
            self.connection.execute("ROLLBACK")
            return {"error": str(error)}
        finally:
            self.connection.set_progress_handler(None, 0)
        return rows[0] if len(rows) == 1 else {"rows": rows}

    def _limit_work(self):
        # A number that a model writes may decide how often a query recurses. Steps are counted
        # and not seconds, so that the same call is refused on every machine.
        left = iter(range(100))
        self.connection.set_progress_handler(lambda: next(left, None) is None, CALL_STEPS // 100)
