"""Rows of TEMP tables, which SQLite's backup leaves out."""

NAMES = "SELECT name FROM sqlite_temp_master WHERE type = 'table' AND rootpage > 0"
TRIGGERS = "SELECT name, sql FROM sqlite_temp_master WHERE type = 'trigger'"


def take_over(source, target):
    """Give the TEMP tables of a connection the rows of another, on which the same script ran.

    Args:
        source, target: connections outside of a transaction.
    """
    names = [name for (name,) in source.execute(NAMES)]
    changed = {name: now for name in names if (now := _rows(source, name)) != _rows(target, name)}
    if not changed:
        return
    triggers = target.execute(TRIGGERS).fetchall()
    [enforced] = target.execute("PRAGMA foreign_keys").fetchone()
    target.execute("PRAGMA foreign_keys = off")
    target.execute("BEGIN")
    # No trigger may run for rows that are only put back.
    for name, _ in triggers:
        target.execute(f"DROP TRIGGER temp.{_quoted(name)}")
    for name, (columns, rows) in changed.items():
        target.execute(f"DELETE FROM temp.{_quoted(name)}")
        target.executemany(
            f"INSERT INTO temp.{_quoted(name)} ({', '.join(columns)}) "
            f"VALUES ({', '.join('?' * len(columns))})",
            rows,
        )
    for _, sql in triggers:
        # SQLite keeps the text without the word TEMP.
        target.execute(sql.replace("CREATE TRIGGER", "CREATE TEMP TRIGGER", 1))
    target.execute("COMMIT")
    target.execute(f"PRAGMA foreign_keys = {enforced}")


def _rows(connection, table):
    """(columns that an INSERT can fill, the number of the row among them; rows)"""
    query = "SELECT name FROM pragma_table_xinfo(?, 'temp') WHERE hidden = 0"
    names = [name for (name,) in connection.execute(query, [table])]
    [without_number] = connection.execute(
        "SELECT wr FROM pragma_table_list(?) WHERE schema = 'temp'", [table]
    ).fetchone()
    number = [] if without_number or "_rowid_" in map(str.lower, names) else ["_rowid_"]
    columns = [*number, *map(_quoted, names)]
    found = connection.execute(f"SELECT {', '.join(columns)} FROM temp.{_quoted(table)}")
    return columns, found.fetchall()


def _quoted(name):
    return '"{}"'.format(name.replace('"', '""'))
