"""The agent's world: a task's own copy of the database, and tools that are data, not code.

A tool is an entry of tools.yaml: a JSON schema of its parameters, guards (`require`), a
change (`sql`) and what the model reads afterwards (`returns`), all parameterised SQL. Values
are bound, never pasted, and names such as `customer_id` come from the session. The text of a
model can therefore never extend what a tool does.
"""

import json
import sqlite3

from specialist.agent.database import changes, dump, open_database, reason, rows, statements

__all__ = ["SEARCH", "Environment", "changes", "dump", "open_database"]

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
MOST_ROWS, MOST_CHARACTERS = 1_000, 100_000  # in the result of one call


class Environment:
    """Runs tool calls for one customer on one copy of the database.

    Args:
        connection: the copy of the database this episode may change: what `open_database` gave,
            or a `copy()` of it.
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

    def writes(self, name):
        """Whether a tool changes the database."""
        return "sql" in self.tools.get(name, {})

    def signature(self, name):
        """JSON schema of a tool's parameters."""
        return SEARCH["parameters"] if name == SEARCH["name"] else self.tools[name]["parameters"]

    def dump(self):
        """Every row of the database; see `specialist.agent.database.dump`."""
        return dump(self.connection)

    def changes(self, before):
        """What differs from a dump; see `specialist.agent.database.changes`."""
        return changes(before, self.dump())

    def _run(self, tool, name, arguments):
        if tool is None:
            return {"error": f"there is no tool {name}"}
        bound = {key: _bindable(value) for key, value in arguments.items()} | self.session
        connection = self.connection
        # A number that a model writes may decide how often a query recurses.
        with connection.limited(CALL_STEPS):
            try:
                connection.execute("BEGIN")
                for guard in tool.get("require", []):
                    if connection.execute(guard["sql"], bound).fetchone() is None:
                        return {"error": guard["otherwise"]}
                for _, sql in statements(tool.get("sql", "")):
                    connection.execute(sql, bound).fetchall()
                found = _fetch(connection.execute(tool["returns"], bound))
                connection.execute("COMMIT")
            # SQLite refuses the call, or it exceeds the limits on time or memory.
            except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
                return {"error": str(error)}
            except MemoryError as error:
                return {"error": reason(error, CALL_STEPS)}
            finally:
                # An error may have ended the transaction already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return found[0] if len(found) == 1 else {"rows": found}


def _bindable(value):
    """A list or an object as JSON text, which json_each and json_extract read."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _fetch(cursor):
    found, characters = [], 0
    for row in rows(cursor):
        found.append(row)
        characters += sum(len(str(part)) for pair in row.items() for part in pair)
        if len(found) > MOST_ROWS or characters > MOST_CHARACTERS:
            cursor.close()
            raise ValueError(
                f"the result has more than {MOST_ROWS:,} rows or {MOST_CHARACTERS:,} characters"
            )
    return found
