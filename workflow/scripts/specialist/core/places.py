"""Where the rows of a prepared file came from, for messages that cite the user's file.

Beside rows in `sft.train.jsonl` stands `sft.train.jsonl.places`: line 11 of it is where row 11
came from, such as `data/sft.csv:27`. Steps cite prepared rows, and the engine shows
the places. No step reads them, so a row that only moved to another place retrains nothing.
"""

import itertools
import re
from pathlib import Path

SUFFIX = ".places"
CITED = re.compile(r"([^\s:]+\.jsonl):(\d+)")


def cited(text):
    """A message with places in the user's files instead of rows of prepared files."""
    return CITED.sub(lambda found: _place(found[1], int(found[2])) or found[0], text)


def _place(path, number):
    try:
        with open(f"{path}{SUFFIX}", encoding="utf-8") as lines:
            return "".join(itertools.islice(lines, number - 1, number)).strip()
    except OSError:
        return ""


def beside(path):
    """The file with the places of the rows in `path`."""
    return Path(f"{path}{SUFFIX}")
