"""Reads files as rows, one at a time, each with its place in the file.

`datasets` does not do this job: a broken JSONL line gets no line number there, and it casts
values and adds keys so that all rows fit one schema.
"""

import lzma
import zlib
from pathlib import Path

from specialist.core.schema_errors import near
from specialist.data.files import OPENERS, is_file, kind
from specialist.data.json_rows import read_json, read_jsonl
from specialist.data.tables import read_csv, read_parquet

READERS = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": lambda path, mistakes: read_csv(path, mistakes, "\t"),
    ".parquet": read_parquet,
}


def rows(path, mistakes, columns=None):
    """Yield the rows of a file; memory holds one batch of them.

    NaN is read as None. Values are otherwise as they are in the file: cells of CSV are text.

    Args:
        path: *.jsonl, *.ndjson, *.json, *.csv, *.tsv, also with .gz, .bz2, .xz or .zst behind
            it, or *.parquet; upper case is fine.
        mistakes: `specialist.data.formats.Mistakes`.
        columns: {field of a row: name of its column in the file}. Other columns keep their names.

    Yields:
        (place, row): "file:line", or "file, row 3" for Parquet, and a dict.
    """
    path = Path(path)
    form, packed = kind(path)
    if form not in READERS or (form == ".parquet" and packed):
        known = f"expected one of {', '.join(f'*{name}' for name in READERS)}"
        text = f"{known}, text also with {', '.join(OPENERS)}; convert the file"
        return mistakes.add(path, text=text)
    if not is_file(path, mistakes):
        return None
    absent = set()
    try:
        for place, row in READERS[form](path, mistakes):
            for field in columns or ():
                if columns[field] not in row and field not in absent:
                    absent.add(field)
                    hint = f"found no column {columns[field]} for {field}, expected it as config"
                    found = f"{hint} names it under columns{near(columns[field], row)}"
                    mistakes.add(path, text=found)
            yield place, _renamed(row, columns, mistakes) if columns else row
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        _unreadable(path, error, mistakes)


def _unreadable(path, error, mistakes):
    cause = " ".join(str(error).split()) or type(error).__name__
    whole = "a complete file"
    mistakes.add(path, text=f"cannot be read to its end ({cause}), expected {whole}; copy it again")


def _renamed(row, columns, mistakes):
    """A row with its mapped columns under the names of the fields."""
    mapped = {field: row[column] for field, column in columns.items() if column in row}
    others = {key: value for key, value in row.items() if key not in columns.values()}
    for key in others.keys() & mapped.keys():
        mistakes.note(f"the column {key}, whose field `columns` reads from {columns[key]}")
    return others | mapped
