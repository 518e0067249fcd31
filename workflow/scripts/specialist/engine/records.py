"""Reads the provenance records that steps wrote beside their outputs.

A record is the dict of one `*.provenance.json`: rule, wildcards, params, code (by its pieces),
inputs and outputs ({path: SHA-256}), bytes ({path: size}), packages, hardware, and cost.
"""

import json
import os
from pathlib import Path

from specialist.core.files import sha256

SUFFIX = ".provenance.json"
TEXT, MAPPING, NUMBER = str, dict, (int, float)
# The keys of every record, with their types.
FIELDS = {
    "rule": TEXT, "wildcards": MAPPING, "params": MAPPING, "code": MAPPING, "inputs": MAPPING,
    "outputs": MAPPING, "start_s": NUMBER, "import_s": NUMBER, "compute_s": NUMBER,
    "peak_memory_mb": NUMBER,
}  # fmt: skip


def problem(record):
    """The problem with a record, in words, or None."""
    if not isinstance(record, dict):
        return f"found {type(record).__name__}, expected an object"
    for key, kind in FIELDS.items():
        if key not in record:
            return f"{key} is missing"
        if not isinstance(record[key], kind) or isinstance(record[key], bool):
            return f"{key}: found {type(record[key]).__name__}"
    for key in ("inputs", "outputs"):
        if not all(isinstance(digest, str) for digest in record[key].values()):
            return f"{key}: expected a hash for each file"
    if not isinstance(record.get("bytes", {}), dict):
        return "bytes: expected an object"
    return None


def read(path):
    """The record in a file; None if it is not there, or is damaged."""
    record, wrong = examine(path)
    return None if wrong else record


def examine(path):
    """(record or None, what is wrong with its file or None); (None, None) if there is no file."""
    try:
        if os.path.lexists(path) and not os.path.isfile(path):  # reading a pipe would never end
            return None, "is no regular file"
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, None
    except NotADirectoryError:
        return None, None
    except OSError as error:
        return None, error.strerror
    except (ValueError, RecursionError):
        return None, "is not JSON, or was not written to its end"
    return record, problem(record)


def beside(path):
    """The record of the job whose first output is `path`; None if there is none."""
    return read(f"{path}{SUFFIX}")


def by_output(folder, damaged=None):
    """{path of an output: record of the job that made it} of all records below a folder.

    A folder that is an output has a record too, and so have the files in it.

    Args:
        damaged: a dict; gets {path of a record: what is wrong with it}.
    """
    found = {}
    for path in sorted(Path(folder).rglob(f"*{SUFFIX}")):
        record, wrong = examine(path)
        if wrong and damaged is not None:
            damaged[str(path)] = wrong
        if record and not wrong:
            found |= dict.fromkeys(record["outputs"], record)
            found[str(path).removesuffix(SUFFIX)] = record
    return found


def name(rule, wildcards, dataset=None):
    """The name of a job: rule, wildcards, and its dataset if that is not `dataset`."""
    others = [value for key, value in wildcards.items() if key != "dataset"]
    where = wildcards.get("dataset", dataset)
    return " ".join([rule, *others] + ([f"({where})"] if where != dataset else []))


def seconds(record):
    """How long a job took when it was computed, from the start of its process."""
    return record["start_s"] + record["import_s"] + record["compute_s"]


def duration(seconds):
    """Seconds for people: "0.4 s" is "< 1 s", 384 is "6 min 24 s", 7500 is "2 h 5 min"."""
    if seconds < 1:
        return "< 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def content(path, producer=None):
    """SHA-256 of a file; from its producer's record if the file is unchanged.

    Args:
        path: a file.
        producer: the record of the job that made it, if one did.

    Returns:
        a hexadecimal digest, or None if there is no such file.
    """
    if not os.path.isfile(path):
        return None
    if producer:
        beside = f"{next(iter(producer['outputs']))}{SUFFIX}"
        known = os.path.isfile(beside) and os.path.getmtime(path) <= os.path.getmtime(beside)
        if known and os.path.getsize(path) == producer.get("bytes", {}).get(path):
            return producer["outputs"][path]
    return sha256(path)
