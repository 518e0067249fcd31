"""Documents of a corpus, read one after the other: files of any size, in bounded memory."""

import json
from itertools import chain

from specialist.core.schema_errors import near
from specialist.data.files import OPENERS, decoded, is_file, kind, opened
from specialist.data.formats import MARK, check_text
from specialist.data.messages import check_messages, message_turns
from specialist.data.reading import READERS, rows

TEXTS = (".txt", ".md")
PIECE = 8000  # characters in a piece of a text file; a longer paragraph stays whole
LONGEST = 2_000_000  # characters in any document; what is longer is cut at the best border
BLOCK = 1 << 20  # bytes read at a time
BORDERS = ("\n\n", "\n", " ")
KEYS = ("text", "messages")
ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)


class Documents:
    """Iterates over (place, document) of files; a document is {"text"} or {"messages"}.

    Text is normalised to Unicode's composed form (NFC) with one kind of newline. A text file is
    cut between paragraphs, into pieces of up to 8,000 characters. Any document above two million
    characters is cut at a paragraph, a line or a blank.

    Args:
        sources: *.txt and *.md, UTF-8, plain or compressed, and the files that
            `specialist.data.reading.rows` reads, with rows of "text" or "messages".
        mistakes: `specialist.data.formats.Mistakes`; it counts other keys of rows as notes.

    Attributes:
        cut: number of rows that were cut because they are too long.
    """

    def __init__(self, sources, mistakes):
        self.sources, self.mistakes = sorted(sources), mistakes
        self.cut = 0

    def __iter__(self):
        for path in self.sources:
            form, packed = kind(path)
            if form in TEXTS:
                if is_file(path, self.mistakes):
                    for piece in pieces(self._checked(path), PIECE):
                        yield path, {"text": piece.strip("\n")}
            elif form in READERS and not (packed and form == ".parquet"):
                for place, row in rows(path, self.mistakes):
                    for document in self._documents(row, place):
                        yield place, document
            else:
                known = ", ".join(f"*{name}" for name in (*TEXTS, *READERS))
                packed = f"text also with {', '.join(OPENERS)}"
                text = f"expected one of {known}, {packed}; convert the file or remove it"
                self.mistakes.add(path, text=text)

    def _checked(self, path):
        """Checked blocks of a text file, up to the first mistake."""
        line = 1
        for block in blocks(path, self.mistakes):
            mark = MARK.search(block)
            place = f"{path}:{line + block.count(chr(10), 0, mark.start())}" if mark else path
            if (text := check_text(block, self.mistakes, place)) is None:
                return
            line += block.count("\n")
            yield text

    def _documents(self, row, place):
        """The documents of a row: one, or several if its text is too long."""
        if len(found := [key for key in KEYS if row.get(key) is not None]) != 1:
            found = found or [key for key in KEYS if key in row]
        if len(found) != 1:
            hints = [hint for key in row if (hint := near(key, KEYS))]
            names = " and ".join(found) or ", ".join(row) or "no keys"
            expected = "one of the two" if found else f"text or messages{''.join(hints[:1])}"
            self.mistakes.add(place, text=f"found {names}, expected {expected}")
            return
        for key in row:
            if key not in KEYS:
                self.mistakes.note(f"the key {key} is not used")
        if found == ["messages"]:
            turns = message_turns(row["messages"], self.mistakes, place)
            for turn in turns or ():
                if not turn.weight:
                    text = "found a message without loss, but pretraining learns every token of the"
                    text += " corpus; remove its weight, or the row"
                    self.mistakes.add(place, *turn.path[:-1], text=text)
            if messages := turns and check_messages(turns, self.mistakes, place):
                yield {"messages": messages}
            return
        text = check_text(row["text"], self.mistakes, place, "text")
        if text is not None and len(text) > LONGEST:
            self.cut += 1
            yield from ({"text": piece.strip("\n")} for piece in pieces([text], LONGEST))
        elif text is not None:
            yield {"text": text}


def blocks(path, mistakes):
    """Yield the text of a UTF-8 file, about a megabyte at a time, in whole lines if it has them.

    It ends at the first byte that is not UTF-8.
    """
    line, rest = 1, b""
    with opened(path) as file:
        while data := rest + (read := file.read(BLOCK)):
            end = _line_end(data) if read else len(data)
            data, rest = data[:end], data[end:]
            if (text := decoded(data, path, mistakes, line)) is None:
                return
            yield text
            line += data.count(b"\n")


def pieces(blocks, size):
    """Parts of a text, cut between paragraphs so that each has up to `size` characters.

    A longer paragraph stays whole, up to `LONGEST` characters.

    Args:
        blocks: the text in parts, cut anywhere.
    """
    rest = ""
    for block in chain(blocks, [None]):  # None: the text has ended
        begin, rest = 0, rest + (block or "")
        # What follows the two newlines of a border decides about the next piece, not this one.
        while len(rest) - begin > size + (block is not None):
            end = _piece_end(rest, begin, size)
            if end is None:
                break
            yield rest[begin:end]
            begin = end
        rest = rest[begin:]
    yield rest


def _piece_end(text, begin, size):
    """Where a piece that begins at a position ends; None if the text does not reach that far."""
    border = text.rfind("\n\n", begin, begin + size + 2)
    if border >= 0:
        # Newlines in a row are borders of two each, counted from the first of them.
        newlines = border - begin - len(text[begin:border].rstrip("\n"))
        return border + 2 - newlines % 2
    border = text.find("\n\n", begin + size + 1)
    end = border + 2 if border >= 0 else None
    if (end or len(text)) - begin <= LONGEST:
        return end
    limit = begin + LONGEST
    ends = (text.rfind(border, begin, limit) + len(border) for border in BORDERS)
    # A border in the first half would leave a small part.
    return next((end for end in ends if end > begin + LONGEST // 2), limit)


def _line_end(data):
    """Position to cut bytes of UTF-8: after the last newline or blank, or before a character."""
    if end := data.rfind(b"\n") + 1 or data.rfind(b" ") + 1:
        return end
    start = len(data) - 1
    while start > len(data) - 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    return start


def plain(document):
    """The words of a document: its text, or the contents of its turns."""
    if "text" in document:
        return document["text"]
    return "\n".join(turn["content"] for turn in document["messages"])


def identity(document):
    """Text that is the same for equal documents, whatever the order of their keys."""
    return ENCODER.encode(document)
