"""Reads JSON and JSONL files row by row."""

import codecs
import json
import re

from specialist.data.files import LONGEST, lines, not_utf8, opened

BLOCK = 1 << 16  # bytes read at a time from a JSON file
SPACE = re.compile(r"[ \t\r\n]*")


def read_jsonl(path, mistakes):
    """Yield (place, row) for each line of a JSONL file that holds an object."""
    for number, text in lines(path, mistakes):
        text = text and text.strip("\ufeff \t\r\n")
        if not text:
            continue
        place = f"{path}:{number}"
        try:
            row = parse_json(text)
        except (ValueError, RecursionError) as error:
            found = f"found no JSON ({_reason(error)}); write one JSON object on each line"
            mistakes.add(place, text=found)
            continue
        if _is_row(row, mistakes, place):
            yield place, row


def parse_json(text):
    """The value of a JSON text; NaN is None.

    Raises:
        ValueError, RecursionError: it is not JSON, or an object has a key twice.
    """
    return DECODER.decode(text)


def _object(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {json.dumps(twice)} is given twice in an object")
    return found


DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=lambda name: None if name == "NaN" else float(name),
)


def _reason(error):
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)


def _is_row(row, mistakes, place):
    if not isinstance(row, dict):
        found = f"found a {type(row).__name__}, expected a JSON object, {{...}}"
        mistakes.add(place, text=found)
    return isinstance(row, dict)


def read_json(path, mistakes):
    """Yield (place, row) of a JSON file: of one list, or of objects one after the other."""
    line = 1
    with opened(path) as stream:
        try:
            for line, row in _values(_Characters(stream)):
                if _is_row(row, mistakes, f"{path}:{line}"):
                    yield f"{path}:{line}", row
        except UnicodeDecodeError as error:
            # `_Characters` counts from the start of the file.
            not_utf8(path, error.object[0], error.start, "file", mistakes)
        except _BadJson as error:
            found = f"found no JSON ({error}); write a list of objects"
            mistakes.add(f"{path}:{error.line}", text=found)


class _BadJson(Exception):
    def __init__(self, text, line):
        super().__init__(text)
        self.line = line


class _Characters:
    """Decodes a stream of UTF-8 piece by piece."""

    def __init__(self, stream):
        self._stream, self._read = stream, 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def read(self, count):
        """The text of the next `count` bytes; "" at the end."""
        data = self._stream.read(count)
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            kept = len(error.object) - len(data)  # bytes of the last call
            start, byte = self._read - kept + error.start, error.object[error.start]
            raise UnicodeDecodeError("utf-8", bytes([byte]), start, start + 1, "") from None
        self._read += len(data)
        # A piece may hold no whole character.
        return text if text or not data else self.read(count)


def _values(characters):
    """Yield (line, value) for the items of a JSON list, or for values that follow each other.

    Raises:
        _BadJson: with the line.
    """
    text, at, line, ended = "", 0, 1, False
    state = "start"  # then: value, comma (after a value in a list), after (a list), plain
    while True:
        begin, at = at, SPACE.match(text, at).end()
        line += text.count("\n", begin, at)
        if at == len(text):
            if not (more := characters.read(BLOCK)):
                break
            text, at = more, 0
            continue
        character = text[at]
        if character in "[],":
            following = {
                ("start", "["): "first", ("first", "]"): "after", ("comma", "]"): "after",
                ("comma", ","): "value",
            }.get((state, character))  # fmt: skip
            if following:
                state, at = following, at + 1
                continue
        if state in ("comma", "after"):
            found = "Expecting ',' or ']'" if state == "comma" else "Extra data"
            raise _BadJson(found, line)
        try:
            value, end = DECODER.raw_decode(text, at)
            cut = end == len(text) and not ended and character not in '{["'
        except RecursionError as error:
            raise _BadJson(error, line) from None
        except json.JSONDecodeError as error:
            # A value that goes on in the next block fails at the end of this one.
            cut = error.pos > len(text) - 20 or error.msg.startswith("Unterminated")
            if ended or not cut:
                place = line + text.count("\n", at, error.pos)
                raise _BadJson(error.msg, place) from None
        except ValueError as error:
            raise _BadJson(error, line) from None
        if cut:
            if len(text) - at > LONGEST:
                raise _BadJson(f"a row has more than {LONGEST} characters", line)
            more = characters.read(max(BLOCK, len(text)))
            text, at, ended = text[at:] + more, 0, not more
            continue
        yield line, value
        line += text.count("\n", at, end)
        at, state = end, "plain" if state in ("start", "plain") else "comma"
    if state in ("first", "value", "comma"):
        raise _BadJson("the list has no end", line)
