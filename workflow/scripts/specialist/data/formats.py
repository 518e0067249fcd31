"""Checks of rows: lists all mistakes with their places."""

import json
import re
import unicodedata
from collections import Counter

from specialist.core.errors import UserError

LIMIT = 20  # mistakes in one message
MARK = re.compile(r"<\|[^|<>\s]+\|>")


class Mistakes:
    """Collects mistakes; at the end of its `with` block they are raised as one UserError.

    `notes` counts what is not a mistake but must be reported: {text: how often}.
    """

    def __init__(self):
        self.found, self.notes = [], Counter()

    def note(self, text, count=1):
        """Count something to report once, with its number."""
        self.notes[text] += count

    def add(self, place, *path, text):
        """Note a mistake.

        Args:
            place: the file, with the line or row if it has any.
            path: keys and indices that lead to the value inside of it.
            text: what was found, what was expected, and how to fix it.
        """
        field = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
        line = f"{place}{', ' if field else ''}{field.lstrip('.')}: {text}"
        if line not in self.found:
            self.found.append(line)
        if len(self.found) >= LIMIT:
            self.stop()

    def within(self, *path):
        """The same mistakes, for the value at a path inside of a row."""
        return _Within(self, path)

    def stop(self):
        """Raise the mistakes, if there are any."""
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


class _Within:
    """Adds to some `Mistakes` under a path."""

    def __init__(self, mistakes, path):
        self.mistakes, self.path = mistakes, path

    @property
    def found(self):
        return self.mistakes.found

    def add(self, place, *path, text):
        self.mistakes.add(place, *self.path, *path, text=text)


def clean(text):
    """Text in Unicode's composed form with newlines of one kind."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def has_marks(text, mistakes, place, *path):
    """Whether a text holds a mark of the chat template, which is a mistake."""
    if mark := MARK.search(text):
        mistakes.add(
            place,
            *path,
            text=f"found {mark[0]}, expected text without the marks of the chat template; "
            "remove it or write it otherwise",
        )
    return mark is not None


def check_text(value, mistakes, place, *path):
    """The clean text of a value, or None if a tokenizer cannot encode it."""
    if not isinstance(value, str):
        found = "nothing" if value is None else json.dumps(value, default=str)[:80]
        mistakes.add(place, *path, text=f"found {found}, expected text; write it or remove the row")
        return None
    if has_marks(value, mistakes, place, *path):
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
