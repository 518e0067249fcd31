"""Finds files whose content changed without Snakemake noticing it.

Snakemake compares the content of an input only if the input is newer than the outputs. But a file
that was moved, unpacked from an archive or copied with its times is often older. The same holds for
a file that was edited while a step read it, and for every edited file if the outputs have a date in
the future. A truncated output looks complete to Snakemake, whatever its time.

This module compares contents and changes no time. It looks only at the jobs of the run, and uses
the records beside their outputs. It reads a source only if its size or times differ from the
record, and an output only if it has the size of the record and is newer. It is fast enough for each
start and each dry run.
"""

import contextlib
import functools
import os
import sys

from specialist.core.files import sha256
from specialist.engine import records
from specialist.engine.keys import signature


def outdated(jobs):
    """Outputs of jobs that must run again for a reason that Snakemake cannot see.

    An input has another content than the job read, an output another than the job wrote, or
    another rule wrote the outputs. The second is reported on stderr, because the new content of
    the output is lost.

    Args:
        jobs: of the whole run, also those that need not run; each with the paths `input` and
            `output`, and its `rule`.

    Returns:
        list of paths, the first output of each such job.
    """
    made, content = {}, functools.cache(sha256)
    jobs = [job for job in jobs if job.output]
    for job in jobs:
        if record := records.beside(job.output[0]):
            made |= dict.fromkeys(map(str, job.output), record)
    found = []
    for job in jobs:
        record = made.get(str(job.output[0]))
        if not record:
            continue
        changed = altered(job.output[0], record, content)
        for text in changed:
            print(f"{text}; {record['rule']} writes it again", file=sys.stderr)
        other = job.rule.name != record["rule"]
        if changed or other or _is_outdated(job, record, made, content):
            found.append(str(job.output[0]))
    return found


def altered(output, record, content=sha256):
    """Texts about outputs of a job that have another content than the job wrote.

    A missing file does not count. Other content of the same size is found only if the file is
    newer than the record.

    Args:
        output: path of the job's first output.
        record: the job's record.
        content: function from a path to its SHA-256.
    """
    found, expected = [], record.get("bytes", {})
    with contextlib.suppress(OSError):
        written = os.path.getmtime(f"{output}{records.SUFFIX}")
        for path, digest in record["outputs"].items():
            if not os.path.isfile(path):
                continue
            size, now = expected.get(path), os.path.getsize(path)
            if size is not None and now != size:
                found.append(f"{path}: found {now} bytes, expected {size}")
            elif os.path.getmtime(path) > written and content(path) != digest:
                found.append(f"{path}: found other content than its step wrote")
    return found


def _is_outdated(job, record, made, content):
    try:
        oldest = min(os.path.getmtime(path) for path in job.output)
    except OSError:  # one is missing, so the job runs anyway
        return False
    for path, digest in record["inputs"].items():
        if os.path.isfile(path) and os.path.getmtime(path) <= oldest:
            if maker := made.get(path):
                now = maker["outputs"].get(path, digest)
            else:
                now = _digest(path, record, content)
            if now != digest:
                return True
    return False


def _digest(path, record, content):
    """The digest of a source; the recorded one if the file is the one that was read."""
    now, seen = signature(path), record.get("seen", {})
    if isinstance(seen, dict) and seen.get(path) == now:
        return record["inputs"][path]
    return content(path)
