"""Reads tables row by row: CSV and Parquet."""

import contextlib
import csv
import io
import itertools
import math
import re

from specialist.data.files import LONGEST, lines

BATCH = 256  # rows read at a time from a Parquet file
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
MISSING_CELLS = {"nan", "NaN", "-nan", "<NA>"}  # pandas and NumPy write these for no value


def read_csv(path, mistakes, separator=None):
    """Yield (place, row) for each row of a CSV file with a header; cells are text."""
    csv.field_size_limit(LONGEST)  # the default is too short for long texts
    texts = itertools.takewhile(lambda text: text is not None, map(_second, lines(path, mistakes)))
    # Files of old spreadsheets end their lines with \r alone.
    texts = (part for text in texts for part in io.StringIO(text, newline=""))
    first, line = next(texts, None), 1
    if first is None:
        return
    if told := re.fullmatch(r'"?sep=(.)"?\s*', first):  # Excel's own line
        separator, first, line = told[1], next(texts, ""), 2
    separator = separator or _separator(first, path, mistakes)
    if separator is None:
        return
    reader = csv.reader(itertools.chain([first], texts), delimiter=separator, strict=True)
    skipped = line - 1
    try:
        header = _header(next(reader, []), f"{path}:{line}", mistakes)
        line = reader.line_num + skipped + 1
        for cells in reader if header else ():
            place, line = f"{path}:{line}", reader.line_num + skipped + 1
            if cells and len(cells) != len(header):
                wrong = "more" if len(cells) > len(header) else "fewer"
                found = f"found {wrong} cells than the {len(header)} of the header"
                name = SEPARATORS.get(separator, separator)
                hint = f"the separator is the {name}: put quotes around text that holds one"
                mistakes.add(place, text=f"{found}; {hint}")
            elif cells:
                cells = (None if cell in MISSING_CELLS else cell for cell in cells)
                yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        mistakes.add(f"{path}:{line}", text=f"found no CSV ({error}); check the quotes")


def _second(pair):
    return pair[1]


def _separator(header, path, mistakes):
    """The character that separates the names in a header."""
    found = []
    for separator in SEPARATORS:
        with contextlib.suppress(csv.Error):
            if len(next(csv.reader([header], delimiter=separator))) > 1:
                found.append(separator)
    if len(found) > 1:
        names = " and ".join(SEPARATORS[separator] for separator in found)
        text = f"found {names} in the header, expected one separator; put quotes around names"
        return mistakes.add(f"{path}:1", text=f"{text} that hold the other")
    return found[0] if found else ","


def _header(names, place, mistakes):
    """The names of the columns; one without a name is called by its number."""
    names = [name.strip() or f"column {number}" for number, name in enumerate(names, 1)]
    return None if _twice(names, place, mistakes) else names


def _twice(names, place, mistakes):
    twice = sorted({name for name in names if names.count(name) > 1})
    for name in twice:
        mistakes.add(place, text=f"found two columns {name}, expected one; rename or remove one")
    return twice


def read_parquet(path, mistakes):
    """Yield (place, row) for each row of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        file = pyarrow.parquet.ParquetFile(path)
        if _twice(file.schema_arrow.names, path, mistakes):
            return
        for batch in file.iter_batches(BATCH):
            for row in batch.to_pylist():
                number += 1
                row = {key: _without_nothing(value) for key, value in row.items()}
                yield f"{path}, row {number}", row
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        place = f"{path}, after row {number}" if number else path
        mistakes.add(place, text=f"found no Parquet ({reason}); write the file again")


def _without_nothing(value):
    """A value without NaN, and without the null of a key that other structs of its column have."""
    if isinstance(value, dict):
        found = {key: _without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not None}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
