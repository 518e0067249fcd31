"""Sizes of a job's inputs, in the unit that determines its time."""

import json
import os
import struct
from math import prod

from specialist.engine.keys import paths

LONGEST = 100_000_000  # bytes of a header of safetensors, by its own limit


def measure(section):
    """{argument: {"bytes", "rows" (of JSONL), "weights" (of safetensors)}} of a rule's inputs.

    Sizes of several files of an argument are added up. A number that is not known is left out.
    """
    return {
        name: total([of_file(path) for path in paths([value]) if os.path.isfile(path)])
        for name, value in section.items()
    }


def of_file(path):
    """The same of one file."""
    found = {"bytes": os.path.getsize(path)}
    if path.endswith(".jsonl"):
        with open(path, "rb") as file:
            found["rows"] = sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))
    if path.endswith(".safetensors") and (weights := _weights(path)):
        found["weights"] = weights
    return found


def total(sizes):
    """Sizes of several files in one dict, with the numbers that all of them have."""
    keys = set.intersection(*map(set, sizes)) if sizes else ()
    return {key: sum(size[key] for size in sizes) for key in sorted(keys)}


def _weights(path):
    """How many weights a file of safetensors holds; None if it is none."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length < LONGEST else {}
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        return sum(map(prod, shapes))
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return None
