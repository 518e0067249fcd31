"""A user's database in memory: made by an SQL script, copied for each task, and compared.

A copy behaves as if the script had run on it. Limits stop SQL that never ends or that would
fill the memory.
"""

import contextlib
import json
import math
import re
import sqlite3
from collections import Counter

from specialist.agent.temporary import take_over
from specialist.core.errors import UserError

SCRIPT_STEPS = 100_000_000  # of SQLite's virtual machine in a whole script: some seconds
LONGEST = 10_000_000  # bytes in one value
ODD = {bytes, float}  # types of values that JSON may not hold
PAGES = 65_536  # of 4 KiB in one database: 256 MiB
HEAP = 2 << 30  # bytes that SQLite may use in this process
# A script must not set these: they affect files or the whole process, or make a rollback unsafe.
SETTINGS = {
    "data_store_directory": lambda value: False,
    "hard_heap_limit": lambda value: False,
    "journal_mode": lambda value: value.lower() != "off",
    "max_page_count": lambda value: False,
    "soft_heap_limit": lambda value: False,
    "temp_store": lambda value: value.lower() in ("memory", "2"),
    "temp_store_directory": lambda value: False,
    "writable_schema": lambda value: value.lower() in ("off", "0", "false", "no", "reset"),
}
# Strings, quoted names and comments, in which a semicolon ends nothing; or a semicolon.
PIECE = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|;""", re.DOTALL)
BLANK = re.compile(r"(?:\s+|--[^\n]*|/\*.*?(?:\*/|\Z)|;)*", re.DOTALL)


class BadScript(UserError):
    """The SQL script does not make a database.

    Attributes:
        line: the first line of the statement that fails, from 1.
        reason: what is wrong with it, and how to fix it.
    """

    def __init__(self, line, reason):
        super().__init__(f"database.sql:{line}: {reason}")
        self.line, self.reason = line, reason


class Database(sqlite3.Connection):
    """An empty database in memory. No statement on it, now or later, can reach a file."""

    def __init__(self):
        super().__init__(":memory:", isolation_level=None)
        self.text_factory = lambda data: data.decode(errors="replace")
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        for setting in (
            f"hard_heap_limit = {HEAP}",
            "temp_store = memory",
            f"max_page_count = {PAGES}",
            f"temp.max_page_count = {PAGES}",
        ):
            self.execute(f"PRAGMA {setting}")
        self.script, self._settings, self._refused = "", [], None
        self.protect()

    def protect(self):
        """Refuse SQL that reaches files. Call it again after another authorizer was set."""
        self.set_authorizer(_in_memory)

    @contextlib.contextmanager
    def limited(self, steps):
        """Interrupt statements that take more steps of SQLite's virtual machine.

        Steps are counted and not seconds, so that the same SQL is refused on every machine.
        """
        left = iter(range(100))
        self.set_progress_handler(lambda: next(left, None) is None, steps // 100)
        try:
            yield
        finally:
            self.set_progress_handler(None, 0)

    def run(self, script):
        """Run a script, which may have PRAGMAs, transactions and TEMP objects.

        Raises:
            BadScript: a statement fails, needs more than the limits, or leaves a transaction open.
        """
        self.script, line, opened = script, 1, None
        self.set_authorizer(self._authorize)
        try:
            with self.limited(SCRIPT_STEPS):
                for line, statement in statements(script):
                    for _ in self.execute(statement):
                        pass  # a query works as it is read
                    opened = (opened or line) if self.in_transaction else None
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            raise BadScript(line, self._refused or reason(error, SCRIPT_STEPS)) from None
        finally:
            self.protect()
        if opened:
            raise BadScript(
                opened,
                "this opens a transaction that no statement ends; is the file complete? "
                "Add COMMIT; at its end",
            )

    def copy(self):
        """A new database with the same rows, settings of the connection and TEMP objects.

        Rows are copied from memory, which takes less time than the script. Only TEMP objects,
        which SQLite cannot copy, are made by the script again; then they get the current rows.
        """
        made = type(self)()
        if self.execute("SELECT 1 FROM sqlite_temp_master LIMIT 1").fetchone():
            made.run(self.script)
        else:
            made.script, made._settings = self.script, self._settings
            # A backup cannot change these two.
            [page_size], [encoding] = (
                self.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "encoding")
            )
            made.execute(f"PRAGMA page_size = {page_size}")
            made.execute(f"PRAGMA encoding = '{encoding}'")
            for schema, name, value in self._settings:
                quoted = value.replace("'", "''")
                made.execute(f"PRAGMA {schema}{name} = '{quoted}'")
        made.restore(self)
        return made

    def restore(self, copy):
        """Take over the rows of a copy, those of TEMP tables too."""
        copy.backup(self)
        take_over(copy, self)

    def _authorize(self, action, name, value, schema, _):
        if action == sqlite3.SQLITE_PRAGMA and value is not None:
            allowed = SETTINGS.get(name.lower())
            if allowed and not allowed(value):
                self._refused = (
                    f"found PRAGMA {name} = {value}, which a script must not set; remove it"
                )
                return sqlite3.SQLITE_DENY
            # SQLite ignores the first inside of a transaction; `copy` takes over the others.
            ignored = name.lower() == "foreign_keys" and self.in_transaction
            if not ignored and name.lower() not in ("page_size", "encoding"):
                self._settings.append((f"{schema}." if schema else "", name, value))
        return _in_memory(action)


def open_database(script):
    """The database that an SQL script makes (schema, rows, settings).

    Raises:
        BadScript: the script fails; see `Database.run`.
    """
    database = Database()
    database.run(script)
    return database


def _in_memory(action, *_):
    # VACUUM INTO attaches the file that it writes.
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def statements(script):
    """Yield (line, SQL) for each statement of a script, blanks and comments left out."""
    start = BLANK.match(script).end()
    line, counted = 1, 0
    for piece in PIECE.finditer(script):
        end = piece.end()
        # The semicolons inside of a trigger do not complete it.
        if piece[0] != ";" or end <= start or not sqlite3.complete_statement(script[start:end]):
            continue
        line, counted = line + script.count("\n", counted, start), start
        yield line, script[start:end]
        start = BLANK.match(script, end).end()
    if start < len(script):
        yield line + script.count("\n", counted, start), script[start:]


def reason(error, steps):
    """An exception of SQLite as a message for the author of the SQL."""
    text = str(error)
    if isinstance(error, MemoryError):
        return f"this needs more than {HEAP >> 30} GiB of memory; make it smaller"
    if text == "interrupted":
        return f"this takes more than {steps:,} steps of SQLite; make it end, or make it smaller"
    if text == "database or disk is full":
        return f"the database grows beyond {PAGES * 4096 >> 20} MiB; make it smaller"
    if text in ("not authorized", "authorization denied"):
        return f"SQLite says: {text}; remove this statement, a database in memory has no files"
    return f"SQLite says: {text}; fix this statement"


def dump(connection):
    """Every row of every table, as {table: [row as a dict, ...]} in a fixed order.

    A row has the columns that SELECT * gives, generated ones included. TEMP tables are left
    out. Values that JSON cannot hold become text: a blob in hexadecimal digits, an infinite number
    as inf.
    """
    query = r"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%'"
    query += r" ESCAPE '\'"
    tables = [name for (name,) in connection.execute(query)]
    return {table: list(rows(connection.execute(select_all(table)))) for table in tables}


def select_all(table):
    return 'SELECT * FROM main."{}"'.format(table.replace('"', '""'))


def columns(connection, table):
    """Names of the columns that SELECT * gives."""
    return [column[0] for column in connection.execute(select_all(table) + " LIMIT 0").description]


def rows(cursor):
    """Yield the results of a query, each row as a dict that JSON can hold."""
    names = [column[0] for column in cursor.description]
    for row in cursor:
        # Whole databases pass here for each task, and few rows have such values.
        plain = row if ODD.isdisjoint(map(type, row)) else map(_plain, row)
        yield dict(zip(names, plain, strict=True))


def _plain(value):
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def changes(before, after):
    """What differs between two dumps: {table: {"removed": [rows], "added": [rows]}}.

    An updated row counts as one removed and one added. Tables without a change are left out.
    """
    result = {}
    for table, now in after.items():
        if now == before[table]:
            continue
        old, new = _numbered(before[table]), _numbered(now)
        removed, added = (
            sorted((old[key] for key in old.keys() - new.keys()), key=_text),
            sorted((new[key] for key in new.keys() - old.keys()), key=_text),
        )
        if removed or added:
            result[table] = {
                "removed": [dict(sorted(row.items())) for row in removed],
                "added": [dict(sorted(row.items())) for row in added],
            }
    return result


def _text(row):
    return json.dumps(row, sort_keys=True)


def _numbered(found):
    """Rows by their values and a running number, so that a doubled row counts as a change."""
    seen, numbered = Counter(), {}
    for row in found:
        values = repr(row)
        seen[values] += 1
        numbered[values, seen[values]] = row
    return numbered
