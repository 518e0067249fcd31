"""An index of the cache: sizes and times of use, so that nothing has to walk over the entries.

The entries on the disk are authoritative. The index is made from them if it is missing or damaged,
or if it could not be written once. You may delete it at any time.
"""

import contextlib
import sqlite3
import time
from pathlib import Path

from specialist.engine.cache_entry import remove

NAME, STALE = "index.sqlite", "index.stale"
WAIT = 10  # seconds, for another process that writes
COLUMNS = "key TEXT PRIMARY KEY, used REAL, size INTEGER, rule TEXT, script TEXT, seconds REAL"
TABLE = (
    f"CREATE TABLE IF NOT EXISTS entries ({COLUMNS})",
    "CREATE INDEX IF NOT EXISTS by_use ON entries (used, size)",
    "CREATE INDEX IF NOT EXISTS by_script ON entries (script, used)",
)
INSERT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)"
DELETE = "DELETE FROM entries WHERE key = ?"


class Index:
    """The index of a cache's folder.

    If the index cannot be used for now (another process has locked it, or it cannot be written),
    each method does nothing and returns what it returns for an empty cache.

    Args:
        folder: of the cache.
        walk: a function that yields the row of each entry, in the order of COLUMNS.
        exists: a function that says whether there is an entry of a key.
    """

    def __init__(self, folder, walk, exists):
        self.path, self.stale = folder / NAME, folder / STALE
        self.walk, self.exists = walk, exists

    def add(self, *row):
        """Note an entry: key, used (seconds since the epoch), size, rule, script, seconds."""
        self._do(lambda database: database.execute(INSERT, row))

    def use(self, key):
        """Note that an entry was used now."""
        change = "UPDATE entries SET used = ? WHERE key = ?"
        self._do(lambda database: database.execute(change, (time.time(), key)))

    def drop(self, *keys):
        """Note that entries were removed."""
        self._do(lambda database: database.executemany(DELETE, [(key,) for key in keys]))

    def size(self):
        """Bytes of all entries."""
        [(size,)] = self._ask("SELECT coalesce(sum(size), 0) FROM entries") or [(0,)]
        return size

    def oldest(self, number=1000):
        """[(key, size)] of some entries, the one not used for longest first."""
        return self._ask("SELECT key, size FROM entries ORDER BY used LIMIT ?", number)

    def of_script(self, script, number=3):
        """Keys of the entries of a script, most recently used first."""
        query = "SELECT key FROM entries WHERE script = ? ORDER BY used DESC LIMIT ?"
        return [key for (key,) in self._ask(query, script, number)]

    def rows(self):
        """All rows, in the order of COLUMNS, least recently used first."""
        return self._ask("SELECT * FROM entries ORDER BY used")

    def _ask(self, query, *values):
        return self._do(lambda database: database.execute(query, values).fetchall()) or []

    def _do(self, work):
        """The result of a function on a connection to the whole index; None if it failed.

        After a failure the index may lack something, so it is completed at its next use.
        """
        try:
            with contextlib.closing(self._open()) as database, database:
                return work(database)
        except (sqlite3.Error, OSError):
            with contextlib.suppress(OSError):
                self.stale.touch()
            return None

    def _open(self):
        """A connection to the index, which is created if needed."""
        if not self.path.is_file():
            remove(self.path)  # a folder, a pipe, or a link that leads nowhere
        try:
            return self._connect()
        except sqlite3.OperationalError:  # locked, or the folder cannot be written
            raise
        except sqlite3.DatabaseError:  # damaged, or something else
            for path in (self.path, Path(f"{self.path}-journal")):
                path.unlink(missing_ok=True)
            return self._connect()

    def _connect(self):
        database = sqlite3.connect(self.path, timeout=WAIT)
        try:
            database.execute("PRAGMA synchronous = OFF")
            whole = database.execute("PRAGMA user_version").fetchone()[0]
            if not whole or self.stale.exists():
                self._complete(database)
            return database
        except BaseException:
            database.close()
            raise

    def _complete(self, database):
        """Rebuild the index from the disk.

        The walk takes long and does not lock the index, so other processes can note entries.
        """
        with database:
            for statement in TABLE:
                database.execute(statement)
        self.stale.unlink(missing_ok=True)
        rows = list(self.walk())
        known = {row[0] for row in rows}
        with database:
            noted = [key for (key,) in database.execute("SELECT key FROM entries")]
            gone = [(key,) for key in noted if key not in known and not self.exists(key)]
            database.executemany(DELETE, gone)
            database.executemany(INSERT, rows)
            database.execute("PRAGMA user_version = 1")
