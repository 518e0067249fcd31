"""Converts documents to Markdown: HTML, PDF and Word by MarkItDown, tables by their readers."""

import contextlib
import csv
import io
import logging
import zipfile
from pathlib import Path

from specialist.core.errors import UserError

DOCUMENTS = (".html", ".htm", ".pdf", ".docx", ".csv", ".xlsx")  # suffixes, in lower case
MOST_BYTES = 200_000_000  # of a document, and of what a packed one unpacks to
SEPARATORS = ",;\t|"


def convert(path):
    """(title or "", text in Markdown) of a document.

    Args:
        path: a file with one of the suffixes of `DOCUMENTS`.

    Raises:
        UserError: the document cannot be read or holds no text; the message says why.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UserError(
            f"{path}: found {size} bytes, expected at most {MOST_BYTES}; split the file"
        )
    read = {".csv": _csv, ".xlsx": _xlsx}.get(kind, _markitdown)
    try:
        if kind in (".docx", ".xlsx"):
            _refuse_packed(path)
        title, text = read(path)
    except UserError:
        raise
    except Exception as error:  # the libraries can raise any exception on a damaged file
        raise UserError(f"{path}: {_why(kind, error)}") from None
    if not text.strip():
        reason = "it may be a scan; recognise its text first" if kind == ".pdf" else "it is empty"
        raise UserError(f"{path}: this document contains no text: {reason}, or remove the file")
    return " ".join(title.split()), text.strip() + "\n"


def _why(kind, error):
    """The reason for an exception, for people."""
    said = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0][:200]
    if "password" in said.lower() or "encrypt" in said.lower():
        return "this document needs a password; save it without one, or remove the file"
    return f"this {kind} document cannot be read ({said}); save it again, or remove the file"


def _refuse_packed(path):
    """Raise a UserError if a packed document has a password or unpacks to too many bytes."""
    if path.read_bytes()[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  # how Office encrypts
        raise UserError(
            f"{path}: this document has a password or an old format; save it without a password "
            f"as {path.suffix}"
        )
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MOST_BYTES:
        raise UserError(f"{path}: unpacks to {size} bytes, expected at most {MOST_BYTES}")


def _markitdown(path):
    from markitdown import StreamInfo, converters

    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    kind = path.suffix.lower()
    # Not `MarkItDown.convert`: it reads what its converter refuses as plain text.
    used = {".pdf": converters.PdfConverter, ".docx": converters.DocxConverter}
    converter = used.get(kind, converters.HtmlConverter)()
    with open(path, "rb") as stream:
        found = converter.convert(stream, StreamInfo(extension=kind))
    return found.title or "", found.markdown


def _csv(path):
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the table in "
            "the encoding UTF-8"
        ) from None
    separator = ","
    with contextlib.suppress(csv.Error):
        separator = csv.Sniffer().sniff(text[:10_000], SEPARATORS).delimiter
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return "", table(rows)


def _xlsx(path):
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    with contextlib.closing(book):
        # The calculated value of a formula; a cell of a date without a time shows the date.
        sheets = {
            sheet.title: table(sheet.iter_rows(values_only=True)) for sheet in book.worksheets
        }
    parts = [f"## {name}\n\n{text}" for name, text in sheets.items() if text]
    return (book.properties.title or "") if parts else "", "\n".join(parts)


def table(rows):
    """A table in Markdown, without rows and columns that are empty; "" without any cell.

    Args:
        rows: the first is the header. Cells are text, numbers, dates or None.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    cells = [row for row in cells if any(row)]
    width = max(map(len, cells), default=0)
    cells = [row + [""] * (width - len(row)) for row in cells]
    used = [column for column in range(width) if any(row[column] for row in cells)]
    lines = ["| " + " | ".join(row[column] for column in used) + " |" for row in cells]
    if lines:
        lines.insert(1, "|" + " --- |" * len(used))
    return "\n".join([*lines, ""]) if lines else ""


def _cell(value):
    text = "" if value is None else str(value)
    return " ".join(text.removesuffix(" 00:00:00").split()).replace("|", "\\|")
