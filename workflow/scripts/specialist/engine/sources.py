"""Inputs that changed though they are older than what was made of them.

Snakemake compares the content of those inputs alone that are newer than the outputs. But what is
moved, unpacked from an archive or copied with its times is often older. So is a file that was
edited while a step read it, and every edited file where the outputs are dated in the future.

This compares contents, and changes no time. It looks at the jobs of the run alone, by the records
beside their outputs, and reads only those files whose size and times are not those of the record.
So it may happen at each start, and at each dry run.
"""

import functools
import os

from specialist.core.files import sha256
from specialist.engine import records
from specialist.engine.keys import signature


def outdated(jobs):
    """Outputs of jobs that read another content than there is now, which Snakemake cannot see.

    Args:
        jobs: of the whole run, also those that need not run; each with the paths `input` and
            `output`.

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
        if record and _is_outdated(job, record, made, content):
            found.append(str(job.output[0]))
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
