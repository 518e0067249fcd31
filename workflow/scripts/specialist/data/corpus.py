"""Documents of a corpus, read one after the other: files of any size, in bounded memory."""

import json
from collections import Counter

from specialist.core.schema_errors import near
from specialist.data.files import decoded
from specialist.data.formats import check_text
from specialist.data.json_rows import read_jsonl
from specialist.data.messages import check_messages, message_turns

TEXTS, ROWS = (".txt", ".md"), (".jsonl",)
PIECE = 8000  # characters in a piece of a text file; a longer paragraph stays whole
LONGEST = 2_000_000  # characters in any document; what is longer is cut at the best border
BLOCK = 1 << 20  # bytes read at a time
BORDERS = ("\n\n", "\n", " ")
KEYS = ("text", "messages")


class Documents:
    """Iterates over the checked documents of files: {"text"} or {"messages"}.

    Text is brought to Unicode's composed form (NFC) with newlines of one kind. A text file is
    cut between paragraphs, into pieces of up to 8,000 characters. Any document above two million
    characters is cut at a paragraph, a line or a blank.

    Args:
        sources: *.txt, *.md and *.jsonl (rows with "text" or "messages"), UTF-8.
        mistakes: `specialist.data.formats.Mistakes`.

    Attributes:
        cut: rows that were cut because they are too long.
        ignored: Counter of the keys of rows that nothing reads.
    """

    def __init__(self, sources, mistakes):
        self.sources, self.mistakes = sorted(sources), mistakes
        self.cut, self.ignored = 0, Counter()

    def __iter__(self):
        for path in self.sources:
            if path.suffix in TEXTS:
                for piece in pieces(self._blocks(path), PIECE):
                    yield {"text": piece.strip("\n")}
            elif path.suffix in ROWS:
                for place, row in read_jsonl(path, self.mistakes):
                    yield from self._documents(row, place)
            else:
                text = "expected *.txt, *.md or *.jsonl; convert the file or remove it"
                self.mistakes.add(path, text=text)

    def _blocks(self, path):
        """Checked blocks of a text file, about a megabyte each, in whole lines if it has them."""
        line, rest = 1, b""
        with open(path, "rb") as file:
            while data := rest + file.read(BLOCK):
                last = len(data) < len(rest) + BLOCK
                end = len(data) if last else _line_end(data)
                data, rest = data[:end], data[end:]
                text = decoded(data, path, self.mistakes, line)
                text = None if text is None else check_text(text, self.mistakes, path)
                if text is None:
                    return
                yield text
                line += data.count(b"\n")

    def _documents(self, row, place):
        """The documents of a row: one, or several if its text is too long."""
        if len(found := [key for key in KEYS if key in row]) != 1:
            hints = [hint for key in row if (hint := near(key, KEYS))]
            names = " and ".join(found) or ", ".join(row) or "no keys"
            expected = "one of the two" if found else f"text or messages{''.join(hints[:1])}"
            self.mistakes.add(place, text=f"found {names}, expected {expected}")
            return
        self.ignored.update(key for key in row if key not in KEYS)
        if "messages" in row:
            turns = message_turns(row["messages"], self.mistakes, place)
            if messages := turns and check_messages(turns, self.mistakes, place):
                yield {"messages": messages}
            return
        text = check_text(row["text"], self.mistakes, place, "text")
        if text is not None and len(text) > LONGEST:
            self.cut += 1
            yield from ({"text": piece.strip("\n")} for piece in pieces([text], LONGEST))
        elif text is not None:
            yield {"text": text}


def pieces(blocks, size):
    """Parts of a text, cut between paragraphs so that each has up to `size` characters.

    A longer paragraph stays whole, up to `LONGEST` characters.

    Args:
        blocks: the text in parts, cut anywhere.
    """
    piece = ""
    for paragraph in _paragraphs(blocks):
        if piece and len(piece) + len(paragraph.removesuffix("\n\n")) > size:
            yield piece
            piece = ""
        piece += paragraph
    yield piece


def _paragraphs(blocks):
    """Paragraphs with the empty line behind them, cut where one is too long."""
    rest = ""
    for block in blocks:
        *whole, rest = (rest + block).split("\n\n")
        for paragraph in whole:
            yield from _bounded(paragraph + "\n\n")
        if len(rest) > LONGEST:
            *whole, rest = _bounded(rest)
            yield from whole
    yield from _bounded(rest)


def _bounded(text):
    """Parts of up to `LONGEST` characters, each but the last ending at a border."""
    while len(text) > LONGEST:
        found = (text.rfind(border, 0, LONGEST) + len(border) for border in BORDERS)
        # A border in the first half would leave a small part.
        end = next((end for end in found if end > LONGEST // 2), LONGEST)
        yield text[:end]
        text = text[end:]
    yield text


def _line_end(data):
    """Where to cut bytes of UTF-8: behind the last newline or blank, or before a character."""
    if end := data.rfind(b"\n") + 1 or data.rfind(b" ") + 1:
        return end
    start = len(data) - 1
    while start > len(data) - 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    return start


def plain(document):
    """The words of a document: its text, or what its turns say."""
    if "text" in document:
        return document["text"]
    return "\n".join(turn["content"] for turn in document["messages"])


def identity(document):
    """Text that is the same for equal documents, whatever the order of their keys."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True)
