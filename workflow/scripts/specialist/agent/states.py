"""Compares changes of the database: expected with actual, whatever the order of their rows."""

import json
from collections import Counter

NONE = (Counter(), Counter())


def compared(expected, actual):
    """Expected and actual changes in a form that compares equal whatever the order.

    Columns that a table's expected rows leave out are left out of its actual rows too.

    Returns:
        both as {table: (Counter of removed rows, Counter of added rows)}, a row a frozenset.
    """
    named = {
        table: {column for rows in change.values() for row in rows for column in row}
        for table, change in expected.items()
    }
    return _rows(expected, {}), _rows(actual, named)


def _rows(changes, named):
    tables = {}
    for table, change in changes.items():
        kept = named.get(table)
        removed, added = (
            Counter(
                frozenset((key, value) for key, value in row.items() if not kept or key in kept)
                for row in change.get(side, ())
            )
            for side in ("removed", "added")
        )
        # Rows may be equal but for a column that is left out.
        tables[table] = removed - added, added - removed
    return {table: sides for table, sides in tables.items() if any(sides)}


def goes_beyond(expected, actual):
    for table, (removed, added) in actual.items():
        if table not in expected:
            return True
        may_remove, may_add = expected[table]
        if removed.total() > may_remove.total() or added.total() > may_add.total():
            return True
        net, may = _sums(added), _sums(may_add)
        net.subtract(_sums(removed))
        may.subtract(_sums(may_remove))
        if any(value > may[column] for column, value in net.items()):
            return True
    return False


def _sums(rows):
    """The sum of each column of numbers."""
    sums = Counter()
    for row, count in rows.items():
        for column, value in row:
            if isinstance(value, (int, float)):
                sums[column] += count * value
    return sums


def elements(rows):
    # In a fixed order: the items of a frozenset have none.
    return sorted(rows.elements(), key=lambda row: json.dumps(dict(row), sort_keys=True))
