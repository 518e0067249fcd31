"""Runs a step: a plain function, given the paths and parameters that its rule declares.

A script of this workflow holds one function that knows nothing of Snakemake, and two
lines at its end that hand it to `run`. Here lives what every step needs and none should
repeat: binding, logging, cache, provenance.
"""

import contextlib
import functools
import io
import json
import os
import platform
import shutil
import sys
import time
import traceback
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.files import flush, write_whole
from specialist.core.hardware import identity, machine, peak_memory_mb
from specialist.core.places import cited
from specialist.engine import cache, devices, forced, job_lock, mirror, processes, records, sizes
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.console import Tee, import_clock
from specialist.engine.contract import bind, flat
from specialist.engine.digest import parts
from specialist.engine.disk import shortage
from specialist.engine.keys import cache_key, hashes, paths, signatures
from specialist.engine.threads import settle
from specialist.engine.tracking import Tracking

# Set before torch loads, unless the user has set them.
ENVIRONMENT = {
    # Nothing is compiled here, and bitsandbytes would load torch's compiler with each start: 2 s.
    "TORCHDYNAMO_DISABLE": "1",
}


def run(function, snakemake):
    """Run a step for its rule, or restore its outputs from the cache; write log and record.

    Provenance is written beside the first output, and is that of all outputs. It holds what the
    step cost, and on what, when it was computed; "restored" says that this was another time.

    A mistake of the user ends the process with its message as the last lines of the log.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    mirror.enter(snakemake)
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", buffering=1, encoding="utf-8") as file:
        tee = Tee(sys.stderr, file)
        with contextlib.redirect_stdout(tee), contextlib.redirect_stderr(tee):
            try:
                with job_lock.lock([*paths(snakemake.output)]):
                    _run(function, snakemake)
            except UserError as error:
                # To the log alone: Snakemake's process prints it as the last words of the run.
                Tee(io.StringIO(), file).write(
                    f"\n{failure(snakemake.rule)}{cited(str(error))}\n\n"
                )
                sys.exit(1)
            except Exception as error:
                cause = shortage(error, [*paths(snakemake.output)]) or _damage(error, snakemake)
                if cause:
                    print(f"\n{failure(snakemake.rule)}{cause}\n")
                else:
                    traceback.print_exc()
                sys.exit(1)


def _damage(error, snakemake):
    """A message if inputs differ from what their steps wrote; otherwise None.

    Records are read only here, after a failure: any error may come from a damaged file.
    """
    made = records.by_output("results")
    wrong = []
    for path, found in hashes(snakemake.input).items():
        record = made.get(path)
        if record and record["outputs"].get(path, found) != found:
            size, now = record.get("bytes", {}).get(path, "?"), os.path.getsize(path)
            wrong.append(f"{path}: found {now} bytes, {record['rule']} wrote {size}")
    if not wrong:
        return None
    files, told = " ".join(text.partition(":")[0] for text in wrong), "\n  ".join(wrong)
    return (
        f"{type(error).__name__}: {error}\nThese files were changed since their steps wrote them:"
        f"\n  {told}\nRemove them (rm {files}), and give the same command again"
    )


def failure(rule):
    """Start of the message of a failed rule in its log."""
    return f"Error in {rule}: "


def _run(function, snakemake):
    """The same, while nobody else makes these outputs."""
    asked = dict(snakemake.resources.items()).get("gpu", 0)
    devices.hide(asked)
    seen = signatures(snakemake.input)
    inputs, outputs = hashes(snakemake.input), list(paths(snakemake.output))
    store, key = cache.Cache(**snakemake.config["cache"]), cache_key(snakemake, inputs)
    kept = Path(f"{outputs[0]}.checkpoints")
    again = forced.is_forced(forced.announced(), snakemake.rule, outputs)
    found = None if again else store.restore(key, outputs)
    if found:
        print(f"{snakemake.rule}: restored from the cache")
        found |= {"wildcards": dict(snakemake.wildcards.items()), "restored": True}
        found |= {"inputs": inputs, "outputs": hashes(snakemake.output)}
        found |= {"sizes": sizes.measure(snakemake.input)}
    else:
        _clear(kept, key)
        settle(snakemake.threads)
        devices.claim(asked)
        checkpoints = Checkpoints(kept / key, snakemake.config["checkpoint_seconds"])
        check = functools.partial(_refuse_changed, inputs, seen)
        clock = _work(function, snakemake, checkpoints, _tracking(snakemake, key), check)
        _write_cost(snakemake, clock)
        found = provenance(snakemake, inputs, clock)
        # The cache knows files; a folder is made of what it knows already.
        if [*found["outputs"]] == outputs:
            if again:
                store.replace(key, found["outputs"], found, cost=_cost(snakemake))
            else:
                store.store(key, found["outputs"], found)
    # Snakemake will take them for whole from now on, even after a crash of the machine.
    for path in found["outputs"]:
        flush(path)
    bytes_of = {path: os.path.getsize(path) for path in [*inputs, *found["outputs"]]}
    record = {"key": key, **found, "bytes": bytes_of, "seen": seen}
    write_whole(f"{outputs[0]}{records.SUFFIX}", json.dumps(record, indent=1, default=str) + "\n")
    shutil.rmtree(kept, ignore_errors=True)


def _write_cost(snakemake, clock):
    """Write time, memory and machine of the step, if its rule has an output `cost`.

    The record has it too, but Snakemake knows no records: what another step reads is an output.
    """
    if path := _cost(snakemake):
        cost = {**clock, "threads": snakemake.threads, "hardware": identity()}
        write_whole(path, json.dumps(cost, indent=1) + "\n")


def _cost(snakemake):
    """The rule's output `cost`: a path, or None."""
    return dict(snakemake.output.items()).get("cost")


def _clear(kept, key):
    """Remove the checkpoints of runs of other parameters, code or inputs."""
    for other in kept.glob("*"):
        if other.name != key:
            shutil.rmtree(other, ignore_errors=True)


def provenance(snakemake, inputs, clock):
    """The record of the outputs: parameters, code, hashes, versions, hardware, time, memory."""
    _, *asked = snakemake.params.code.split()
    return {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": flat(snakemake.params),
        "code": parts(*asked),
        "inputs": inputs,
        "outputs": hashes(snakemake.output),
        "sizes": sizes.measure(snakemake.input),
        "node": platform.node(),
        **machine(),
        "threads": snakemake.threads,
        **clock,
    }


def process_age():
    """Seconds since this process started: the interpreter's start and Snakemake's preamble."""
    import psutil

    return time.time() - psutil.Process().create_time()


def _refuse_changed(inputs, seen):
    """Raise a UserError if an input has another content than before the step.

    Nobody knows which of the two the step read, and the cache would keep what it made under the
    first.

    Args:
        inputs: {path: SHA-256} of before.
        seen: {path: signature} of before; only what has another one now is read again.
    """
    now = signatures([*seen])
    changed = [
        path
        for path in seen
        if now.get(path) != seen[path] and hashes([path]) != {path: inputs[path]}
    ]
    if changed:
        raise UserError(
            f"{', '.join(changed)}: changed while this step ran; give the same command again"
        )


def _tracking(snakemake, key):
    """The trackers of this run; only steps that train use them."""
    name = "-".join([snakemake.rule, *snakemake.wildcards])
    shown = {name: value for name, value in flat(snakemake.params).items() if name != "code"}
    return Tracking(snakemake.config.get("tracking", ()), name, key, shown)


def _work(function, snakemake, checkpoints, tracking, check):
    """Call the step, then `check`; return time and memory."""
    started, begin = process_age(), time.perf_counter()
    with import_clock() as imports, tracking:
        given = bind(function, snakemake, checkpoints, tracking)
        beside = processes.call(function, given, snakemake)
        check()
    wall = time.perf_counter() - begin
    return {
        "start_s": round(started, 2),
        "import_s": round(imports[0], 2),
        "compute_s": round(wall - imports[0], 2),
        "peak_memory_mb": peak_memory_mb() + beside,
    }
