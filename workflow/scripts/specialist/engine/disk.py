"""Reports a full disk: which disk, the free space, and the needed space."""

import errno
import os
import shutil

from specialist.engine import records

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Libraries in C++ or Rust raise their own errors, with the message of the system.
WORDS = [os.strerror(number) for number in FULL]


def shortage(error, outputs):
    """A message if an exception comes from a full disk; None otherwise.

    Args:
        outputs: paths that the step was to write.
    """
    if not (cause := _cause(error)):
        return None
    place = getattr(cause, "filename", None) or outputs[0]
    folder = os.path.dirname(os.path.abspath(os.fsdecode(place)))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    number = getattr(cause, "errno", None)
    reason = os.strerror(number) if number in FULL else str(cause).strip().splitlines()[0]
    free = shutil.disk_usage(folder).free
    return (
        f"{os.fsdecode(place)} cannot be written: {reason}. The disk of {folder} has "
        f"{_amount(free)} free; this step writes {_needed(outputs)}. Make room, or lower "
        "`cache: max_gb`, and give the same command again"
    )


def _cause(error):
    """The exception of a full disk in a chain of exceptions; None if there is none."""
    while error:
        known = isinstance(error, OSError) and error.errno in FULL
        if known or any(word in str(error) for word in WORDS):
            return error
        error = error.__cause__ or error.__context__
    return None


def _needed(outputs):
    """Size of a step's outputs, in words: from its last record, or from the part written so far."""
    record = records.beside(outputs[0])
    if record and (sizes := [record.get("bytes", {}).get(path) for path in outputs]):
        known = [size for size in sizes if isinstance(size, int)]
        if known:
            return f"{_amount(sum(known))}, as in the last run"
    written = sum(os.path.getsize(path) for path in outputs if os.path.isfile(path))
    return f"more than the {_amount(written)} that it had written (`make plan` estimates it)"


def _amount(size):
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
