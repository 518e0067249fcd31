"""General text in passages: what a model reads that belongs to no dataset."""

import math

from specialist.core.errors import UserError

ENDS = (". ", "? ", "! ", ".\n")  # of sentences


def read(path):
    """The text of a UTF-8 file.

    Raises:
        UserError: it is not UTF-8, with the place of the first wrong byte; it is empty.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}:{line}: found the byte {data[error.start]:#04x}, expected text in UTF-8; "
            "save the file as UTF-8"
        ) from None
    if not text.strip():
        raise UserError(f"{path}: found no text; give a file of plain text")
    return text


def passages(text, size):
    """Cut a text into passages.

    A passage holds whole paragraphs, which empty lines separate. A longer paragraph is cut at the
    end of a sentence, or else at a blank.

    Args:
        text: plain text.
        size: most characters of a passage.

    Returns:
        list of texts, in order; only blanks are lost.
    """
    found, passage = [], ""
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        for piece in _cut(paragraph.strip(), size):
            longer = f"{passage}\n\n{piece}" if passage else piece
            if len(longer) > size:
                found.append(passage)
                longer = piece
            passage = longer
    return [*found, passage] if passage else found


def _cut(paragraph, size):
    """Yield pieces of at most `size` characters."""
    while len(paragraph) > size:
        head = paragraph[: size + 1]  # with the blank that may follow a full passage
        end = max(head.rfind(mark) + 1 for mark in ENDS) or head.rfind(" ") or 0
        end = end if 0 < end <= size else size
        yield paragraph[:end].rstrip()
        paragraph = paragraph[end:].lstrip()
    if paragraph:
        yield paragraph


def spread(items, size):
    """Passages from all parts of a text, with about `size` bytes in all; all if it has fewer."""
    whole = sum(len(item.encode()) for item in items)
    count = min(len(items), math.ceil(len(items) * size / whole))
    return [items[i * len(items) // count] for i in range(count)]
