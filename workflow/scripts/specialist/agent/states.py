"""Compares changes of the database: expected with actual, whatever the order of their rows."""

import itertools
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
    """Whether changes give or take what the expected ones do not.

    They change another table, or more rows than expected, or bring a number higher than expected.

    Args:
        expected, actual: what `compared` returned.
    """
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


def of_others(requested, changes):
    """Whether changes concern rows that no request does.

    They remove or update another row, or add a row with an identifier that no requested row has: a
    text with a digit, such as an order number.

    Args:
        requested: list of changes, one for each request.
        changes: the actual ones.
    """
    actual = compared(together(*requested), changes)[1]
    wanted = [compared(each, {})[0] for each in requested]
    for table, sides in actual.items():
        may_remove, may_add = (
            {row for each in wanted for row in each.get(table, NONE)[side]} for side in (0, 1)
        )
        removed, added = sides
        if removed.keys() - may_remove or _identifiers(added) - _identifiers(may_add):
            return True
    return False


def _identifiers(rows):
    return {
        (column, value)
        for row in rows
        for column, value in row
        if isinstance(value, str) and any(map(str.isdigit, value))
    }


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


def together(*changes):
    """Changes one after the other as one. Rows that come and go again cancel in `compared`."""
    tables = {table: None for change in changes for table in change}
    return {
        table: {
            side: [row for change in changes for row in change.get(table, {}).get(side, ())]
            for side in ("removed", "added")
        }
        for table in tables
    }


def undone(changes):
    """The changes that take others back."""
    return {
        table: {"removed": change.get("added", []), "added": change.get("removed", [])}
        for table, change in changes.items()
    }


def fits(requested, changes):
    """Whether changes stay within what some of the requests ask for together.

    Args:
        requested: list of changes, one for each request, in order.
        changes: the actual ones.
    """
    sizes = range(len(requested), -1, -1)
    chosen = itertools.chain.from_iterable(itertools.combinations(requested, n) for n in sizes)
    return any(not goes_beyond(*compared(together(*some), changes)) for some in chosen)
