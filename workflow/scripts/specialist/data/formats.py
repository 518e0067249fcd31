"""Reading the files of a dataset: every mistake by its place, several at once."""

import csv
import hashlib
import io
import json
import re
import unicodedata

from specialist.core.errors import UserError
from specialist.core.schema_errors import near

LIMIT = 20  # mistakes in one message
ROLES = ("system", "user", "assistant", "tool")
# Which role may follow which; a conversation ends with the assistant.
NEXT = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant",),
}
MARK = re.compile(r"<\|[^|<>\s]+\|>")


class Mistakes:
    """Collects mistakes; at the end of its `with` block they are raised as one UserError."""

    def __init__(self):
        self.found = []

    def add(self, place, *path, text):
        """Note a mistake.

        Args:
            place: the file, with the line or row if it has any.
            path: keys and indices that lead to the value inside of it.
            text: what was found, what was expected, and how to mend it.
        """
        field = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
        line = f"{place}{', ' if field else ''}{field.lstrip('.')}: {text}"
        if line not in self.found:
            self.found.append(line)
        if len(self.found) >= LIMIT:
            self.stop()

    def stop(self):
        """Raise what was found, if anything was."""
        if self.found:
            head = f"the data has {len(self.found)} mistake{'s' * (len(self.found) > 1)}"
            if len(self.found) >= LIMIT:
                head = f"the data has {LIMIT} mistakes or more"
            raise UserError("\n  ".join([head, *self.found]))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()


def read_text(path, mistakes):
    """The text of a UTF-8 file, or None if it is not one."""
    return _decode(path.read_bytes(), path, mistakes)


def _decode(data, path, mistakes, line=1):
    # UTF-16 of English is valid UTF-8, every other character a NUL.
    if (zero := data.find(b"\0")) >= 0 and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        line += data.count(b"\n", 0, zero)
        text = "found a NUL, expected text in UTF-8; save the file in the encoding UTF-8"
        return mistakes.add(f"{path}:{line}", text=text)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        mistakes.add(
            f"{path}:{line}",
            text=f"found the byte 0x{data[error.start]:02x}, expected UTF-8; "
            "save the file in the encoding UTF-8",
        )


def read_jsonl(path, mistakes):
    """Yield (place, row) for each line of a JSONL file that holds an object."""
    with open(path, "rb") as lines:
        for number, data in enumerate(lines, 1):
            place = f"{path}:{number}"
            text = _decode(data, path, mistakes, number)
            if text is None or not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                mistakes.add(
                    place, text=f"found no JSON ({error}); write one JSON object on each line"
                )
                continue
            if isinstance(row, dict):
                yield place, row
            else:
                kind = type(row).__name__
                mistakes.add(place, text=f"found a {kind}, expected a JSON object, {{...}}")


def read_csv(path, mistakes):
    """Yield (place, row) for each row of a CSV file with a header; cells are text."""
    text = read_text(path, mistakes)
    if text is None:
        return
    csv.field_size_limit(1 << 30)  # the default is too short for long texts
    reader, line = csv.DictReader(io.StringIO(text, newline=""), strict=True), 1
    try:
        line = reader.line_num + 1 if reader.fieldnames else 1
        for row in reader:
            place, line = f"{path}:{line}", reader.line_num + 1
            if None in row or None in row.values():
                mistakes.add(
                    place,
                    text=f"found {'more' if None in row else 'fewer'} cells than the "
                    f"{len(reader.fieldnames)} of the header; put quotes around text with commas",
                )
            else:
                yield place, row
    except csv.Error as error:
        mistakes.add(f"{path}:{line}", text=f"found no CSV ({error}); check the quotes")


def read_parquet(path, mistakes):
    """Yield (place, row) for each row of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        mistakes.add(path, text=f"found no Parquet ({reason}); write the file again")
        return
    for number, row in enumerate(rows, 1):
        yield f"{path}, row {number}", row


def clean(text):
    """Text in Unicode's composed form with newlines of one kind."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def check_text(value, mistakes, place, *path):
    """The clean text of a value, or None if it is no text that a tokenizer can take."""
    if not isinstance(value, str):
        found = "nothing" if value is None else json.dumps(value, default=str)[:80]
        mistakes.add(place, *path, text=f"found {found}, expected text; write it or remove the row")
        return None
    if mark := MARK.search(value):
        mistakes.add(
            place,
            *path,
            text=f"found {mark[0]}, expected text without the marks of the chat template; "
            "remove it or write it otherwise",
        )
        return None
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = value[error.start].encode("utf-8", "surrogatepass").hex()
        mistakes.add(
            place, *path, text=f"found half of a character ({half}), expected Unicode; remove it"
        )
        return None
    return clean(value)


def check_messages(turns, mistakes, place):
    """A conversation as messages, or None if something is wrong with it.

    Args:
        turns: list of (path of the role, role, path of the content, content).

    Returns:
        list of {"role", "content"}.
    """
    before, messages, ended = len(mistakes.found), [], None
    for role_path, role, path, content in turns:
        if role not in ROLES:
            expected = f"one of {', '.join(ROLES)}{near(role, ROLES)}"
            mistakes.add(
                place,
                *role_path,
                text=f"found {json.dumps(role, default=str)}, expected {expected}",
            )
            return None
        if role not in NEXT[ended]:
            after = f"after {ended}" if ended else "first"
            expected = " or ".join(NEXT[ended])
            mistakes.add(
                place,
                *role_path,
                text=f"found {role} {after}, expected {expected}; put the messages in order",
            )
            return None
        text = check_text(content, mistakes, place, *path)
        if text is not None and not text.strip():
            mistakes.add(place, *path, text="found no content, expected text; write it")
        messages.append({"role": role, "content": text})
        ended = role
    if ended != "assistant":
        mistakes.add(
            place,
            text=f"the conversation ends with {ended or 'nothing'}, expected a turn of the "
            "assistant; add it or remove the row",
        )
    return messages if len(mistakes.found) == before else None


def message_turns(messages, mistakes, place, name="messages", role="role", content="content"):
    """What `check_messages` takes, from a list of objects; None if it is no such list."""
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        found = json.dumps(messages, default=str)[:80]
        mistakes.add(place, name, text=f"found {found}, expected a list of objects")
        return None
    for number, turn in enumerate(messages):
        for key in ("tool_calls", "function_call"):
            if turn.get(key):
                mistakes.add(
                    place,
                    name,
                    number,
                    key,
                    text="found a call outside of the text, expected it in the content, "
                    "as `Action: {...}`; write it there",
                )
                return None
    return [
        ((name, number, role), turn.get(role), (name, number, content), turn.get(content))
        for number, turn in enumerate(messages)
    ]


def split(rows, share, seed, mistakes, place):
    """Distinct rows for training and for validation, in their order.

    Each row falls by a checksum of its own, so that a new row moves no other to the other
    side; one row at least is for validation.

    Args:
        rows: dicts; later ones that equal an earlier one are left out.
        share: share of the rows for validation, from 0 to 1.

    Returns:
        (train, validation)
    """
    ranks = {}
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, sort_keys=True)
        digest = hashlib.sha256(f"{seed}/{text}".encode()).digest()
        ranks.setdefault(text, (int.from_bytes(digest[:8]) / 2**64, row))
    if len(ranks) < 2:
        found = f"found {len(ranks)} different row{'s' * (len(ranks) != 1)} with text"
        mistakes.add(place, text=f"{found}, expected two at least; add data")
        mistakes.stop()
    limit = max(share, min(rank for rank, _ in ranks.values()))
    train = [row for rank, row in ranks.values() if rank > limit]
    return train, [row for rank, row in ranks.values() if rank <= limit]
