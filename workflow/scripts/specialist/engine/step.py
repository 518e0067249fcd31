"""Runs a step: a plain function, given the paths and parameters that its rule declares.

A script of this workflow holds one function that knows nothing of Snakemake, and two
lines at its end that hand it to `run`. Here lives what every step needs and none should
repeat: binding, seeds, logging, provenance.
"""

import builtins
import contextlib
import fcntl
import functools
import gc
import json
import os
import platform
import shutil
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.files import flush, sha256
from specialist.core.hardware import describe, peak_memory_mb
from specialist.core.places import cited
from specialist.engine import cache, forced
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.contract import bind, flat
from specialist.engine.digest import parts

TRACKED_PACKAGES = [
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "tokenizers",
    "gguf",
    "bitsandbytes",
    "llama-cpp-python",
    "chromadb",
    "sentence-transformers",
    "pandas",
    "numpy",
    "snakemake",
]


@contextlib.contextmanager
def import_clock():
    """Seconds spent in imports while the block runs, in the one-item list it yields.

    An import of Transformers makes many objects and drops few: they are not searched for garbage
    meanwhile, which would take a good part of its time.
    """
    spent, depth, original = [0.0], [0], builtins.__import__

    def timed(*args, **kwargs):
        if depth[0]:
            return original(*args, **kwargs)
        depth[0], start, collects = 1, time.perf_counter(), gc.isenabled()
        gc.disable()
        try:
            return original(*args, **kwargs)
        finally:
            depth[0] = 0
            spent[0] += time.perf_counter() - start
            if collects:
                gc.enable()

    builtins.__import__ = timed
    try:
        yield spent
    finally:
        builtins.__import__ = original


class Tee:
    """Writes to several text streams; a carriage return becomes a line in the log."""

    def __init__(self, terminal, log):
        self.terminal, self.log = terminal, log

    def write(self, text):
        self.terminal.write(text)
        self.log.write(text.replace("\r", "\n"))

    def flush(self):
        self.terminal.flush()
        self.log.flush()

    def isatty(self):
        return False

    def fileno(self):
        return self.terminal.fileno()


def machine():
    """What runs the steps: versions of Python and of the packages that matter, and hardware."""
    versions = {}
    for name in TRACKED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "python": platform.python_version(),
        "packages": versions,
        "hardware": describe(),
    }


def hashes(section):
    """{path: SHA-256} of the files of a rule's inputs or outputs, those in a folder among them."""
    return {path: sha256(path) for name in _flat(section) for path in _files(name)}


def _files(path):
    """The paths of the files that a path stands for: itself, or what is in it."""
    if os.path.isdir(path):
        return sorted(str(found) for found in Path(path).rglob("*") if found.is_file())
    return [path] if os.path.isfile(path) else []


def modified(section):
    """{path: when it was modified, in nanoseconds} of the files of a rule's inputs."""
    return {path: os.stat(path).st_mtime_ns for path in _flat(section) if Path(path).is_file()}


def cache_key(snakemake, inputs):
    """The key under which the cache knows what this job makes; see specialist/engine/cache.py.

    Args:
        inputs: {path: SHA-256} of the job's inputs.
    """
    named = {
        name: [(Path(path).name, inputs.get(path)) for path in _flat([value])]
        for name, value in snakemake.input.items()
    }
    made = {name: [Path(p).name for p in _flat([v])] for name, v in snakemake.output.items()}
    return cache.key(snakemake.rule, flat(snakemake.params), named, made)


def provenance(snakemake, inputs, clock):
    """What made the outputs: parameters, code, hashes, versions, hardware, and what it cost."""
    _, *asked = snakemake.params.code.split()
    return {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": flat(snakemake.params),
        "code": parts(*asked),
        "inputs": inputs,
        "outputs": hashes(snakemake.output),
        **machine(),
        "threads": snakemake.threads,
        **clock,
    }


def _flat(values):
    for value in values:
        yield from [str(value)] if isinstance(value, (str, Path)) else _flat(value)


def process_age():
    """Seconds since this process started: the interpreter's start and Snakemake's preamble."""
    import psutil

    return time.time() - psutil.Process().create_time()


def run(function, snakemake):
    """Do a step for its rule, or take its outputs from the cache; log it, and say what made it.

    Provenance is written beside the first output, and is that of all outputs. It holds what the
    step cost, and on what, when it was computed; "restored" says that this was another time.
    """
    # Nothing is compiled here, and bitsandbytes would load torch's compiler with each start: 2 s.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", buffering=1) as file:
        _wait_for_others(file)
        file.truncate(0)
        tee = Tee(sys.stderr, file)
        with contextlib.redirect_stdout(tee), contextlib.redirect_stderr(tee):
            times = modified(snakemake.input)
            inputs, outputs = hashes(snakemake.input), list(_flat(snakemake.output))
            store, key = cache.Cache(**snakemake.config["cache"]), cache_key(snakemake, inputs)
            kept = Path(f"{outputs[0]}.checkpoints")
            anew = forced.is_forced(forced.announced(), snakemake.rule, outputs)
            found = None if anew else store.restore(key, outputs)
            if found:
                print(f"{snakemake.rule}: restored from the cache")
                found |= {"wildcards": dict(snakemake.wildcards.items()), "restored": True}
                found |= {"inputs": inputs, "outputs": hashes(snakemake.output)}
            else:
                checkpoints = Checkpoints(kept / key, snakemake.config["checkpoint_seconds"])
                check = functools.partial(_refuse_changed, inputs, times)
                clock = _work(function, snakemake, checkpoints, check)
                found = provenance(snakemake, inputs, clock)
                # The cache knows files; a folder is made of what it knows already.
                if [*found["outputs"]] == outputs:
                    (store.replace if anew else store.store)(key, found["outputs"], found)
            # Snakemake will take them for whole from now on, even after the machine's loss.
            for path in found["outputs"]:
                flush(path)
    sizes = {path: os.path.getsize(path) for path in [*inputs, *found["outputs"]]}
    text = json.dumps({"key": key, **found, "bytes": sizes}, indent=1, default=str)
    Path(f"{outputs[0]}.provenance.json").write_text(text + "\n")
    shutil.rmtree(kept, ignore_errors=True)


def _wait_for_others(file):
    """Hold a log until this process ends; a job that outlived its killed run may have it still."""
    with contextlib.suppress(OSError):  # a file system without locks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{file.name}: a killed run left a job that is still at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)


def _refuse_changed(inputs, times):
    """Raise a UserError if an input has another content than before the step.

    Nobody knows which of the two the step read, and the cache would keep what it made under the
    first.

    Args:
        inputs: {path: SHA-256} of before.
        times: {path: when it was modified} of before; only what was modified since is read again.
    """
    now = modified([*times])
    changed = [
        path
        for path in times
        if now.get(path) != times[path] and hashes([path]) != {path: inputs[path]}
    ]
    if changed:
        raise UserError(
            f"{', '.join(changed)}: changed while this step was at work; "
            "give the same command again"
        )


def _work(function, snakemake, checkpoints, check):
    """Call the step and then `check`, and end the process if one fails; returns what it cost."""
    started, begin = process_age(), time.perf_counter()
    with import_clock() as imports:
        try:
            function(**bind(function, snakemake, checkpoints))
            check()
        except UserError as error:
            print(f"\nError in {snakemake.rule}: {cited(str(error))}\n")
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
    wall = time.perf_counter() - begin
    return {
        "start_s": round(started, 2),
        "import_s": round(imports[0], 2),
        "compute_s": round(wall - imports[0], 2),
        "peak_memory_mb": peak_memory_mb(),
    }
