"""The identity of a job: the contents of its inputs, and the key of its outputs."""

import os
from pathlib import Path

from specialist.core.files import sha256
from specialist.core.hardware import has_bf16, identity
from specialist.engine import cache
from specialist.engine.contract import flat

# A rule with times or speeds in its outputs has `resources: measures_speed=1`. This is not a
# parameter, because Snakemake compares parameters: another machine would rerun existing outputs.
MEASURES_SPEED = "measures_speed"


def paths(values):
    """The paths of a rule's inputs or outputs, those in lists among them."""
    for value in values:
        yield from [str(value)] if isinstance(value, (str, Path)) else paths(value)


def hashes(section):
    """{path: SHA-256} of the files of a rule's inputs or outputs, those in a folder among them."""
    return {path: sha256(path) for name in paths(section) for path in files_of(name)}


def files_of(path):
    """The paths of the files that a path stands for: itself, or what is in it."""
    if os.path.isdir(path):
        return sorted(str(found) for found in Path(path).rglob("*") if found.is_file())
    return [path] if os.path.isfile(path) else []


def signatures(section):
    """{path: [bytes, modified, changed, inode]} of the files of a rule's inputs.

    Times are in nanoseconds. A file with the same four has the same content: writing to it or
    replacing it changes the time of the last change, which no program can set.
    """
    return {path: signature(path) for name in paths(section) for path in files_of(name)}


def signature(path):
    """The same for one file."""
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def cache_key(job, inputs):
    """The key under which the cache knows what a job makes; see cache.py.

    Most outputs are the same on any machine. The key of the others contains the machine. A shared
    cache therefore never returns the results of another machine: its speeds, or what it computed
    in bf16 with `precision: auto`.

    Args:
        job: the object that Snakemake gives to a script, or one like it.
        inputs: {path: SHA-256} of the job's inputs.
    """
    params = flat(job.params)
    named = {
        name: [(Path(path).name, inputs.get(path)) for path in paths([value])]
        for name, value in job.input.items()
    }
    made = {name: [Path(p).name for p in paths([v])] for name, v in job.output.items()}
    return cache.key(job.rule, params | _machine(job, params), named, made)


def _machine(job, params):
    """The properties of this machine that decide the outputs of a job, as parameters."""
    found = {}
    if dict(job.resources.items()).get(MEASURES_SPEED):
        found["machine"] = identity() | {"threads": job.threads}
    if params.get("precision") == "auto":
        found["bf16"] = has_bf16()
    return found
