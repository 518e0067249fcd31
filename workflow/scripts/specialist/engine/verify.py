"""The chain of records from a result back to the data: is every file what its step wrote?

A file that a step made is wrong if it is missing, or if its content differs from its record. A
chain is stale if a step's input differs from the record of the step that made it. Specs and folders
of data belong to people: if they have changed since, this is a note, not an error.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from specialist.core.files import sha256
from specialist.engine import records


@dataclass
class Chain:
    """The steps and files behind a result.

    Args:
        target: the result.
        steps: records, each after those whose outputs it read.
        sources: {path: SHA-256 of what was read, each once} of files that no step made.
        problems: texts, one for each thing that is wrong.
        wrong: files that are missing or not what they were.
        stale: files that have changed since a step read them.
        since: texts about sources that have changed since.
        damaged: {path of a record: what is wrong with it}.
    """

    target: str
    steps: list = field(default_factory=list)
    sources: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    stale: list = field(default_factory=list)
    since: list = field(default_factory=list)
    damaged: dict = field(default_factory=dict)


def follow(target, folder="results"):
    """Read every record behind a file, and hash every file that they name.

    Args:
        target: path of a file that a step made.
        folder: where steps write; what lies there is made, all else is a source.

    Returns:
        a Chain; a target without a record is one of its problems.
    """
    chain = Chain(target)
    made = records.by_output(folder, chain.damaged)
    _visit(target, None, Path(folder), made, chain, set())
    for record in chain.steps:
        for path, expected in record["outputs"].items():
            _check(path, expected, record, chain)
    for path, expected in chain.sources.items():
        if not os.path.isfile(path):
            chain.since.append(f"{path} was removed")
        elif {sha256(path)} != expected:
            chain.since.append(f"{path} was changed")
    return chain


def _visit(path, reader, folder, made, chain, seen):
    """Add the step that wrote a file to the chain, after the steps that wrote its inputs."""
    record, expected = made.get(path), reader and reader["inputs"][path]
    source = record is None and reader and folder not in Path(path).parents
    if source:
        chain.sources.setdefault(path, set()).add(expected)
    elif record and reader and record["outputs"][path] != expected:
        chain.stale.append(path)
        chain.problems.append(
            f"{path}: stale: {step(reader)} read it with SHA-256 {expected[:12]}, but "
            f"{step(record)} has written {record['outputs'][path][:12]} since"
        )
    if (key := id(record) if record else path) in seen:
        return
    seen.add(key)
    if record:
        for name in record["inputs"]:
            _visit(name, record, folder, made, chain, seen)
        chain.steps.append(record)
    elif not source:
        damaged = chain.damaged.get(f"{path}{records.SUFFIX}")
        why = f"its record is damaged: {damaged}" if damaged else "no record names it"
        _wrong(path, f"no record shows how it was made: {why}", chain)


def _check(path, expected, record, chain):
    size = record.get("bytes", {}).get(path)
    if not os.path.isfile(path):
        problem = f"missing: expected {size} bytes"
    elif size is not None and (found := os.path.getsize(path)) != size:
        problem = f"{'truncated' if found < size else 'altered'}: {found} bytes, expected {size}"
    elif (found := sha256(path)) != expected:
        problem = f"altered: SHA-256 {found[:12]}, expected {expected[:12]}"
    else:
        return
    _wrong(path, f"{problem}; made by {step(record)}", chain)


def _wrong(path, problem, chain):
    chain.problems.append(f"{path}: {problem}")
    chain.wrong.append(path)


def step(record):
    """A step's name."""
    wildcards = record.get("wildcards", {})
    return records.name(record["rule"], wildcards, wildcards.get("dataset"))


def mend(chain):
    """Commands that repair the problems."""
    damaged = [path for path in chain.wrong if os.path.exists(path)]
    known = {path for record in chain.steps for path in record["outputs"]}
    make, needed = [path for path in chain.wrong if path not in known], set()
    for record in reversed(chain.steps):
        # Snakemake makes the inputs of a step that runs. All other files must be named.
        if wrong := [path for path in record["outputs"] if path in chain.wrong]:
            make += wrong[:1] if needed.isdisjoint(wrong) else []
            needed.update(record["inputs"])
    make += [chain.target] if chain.stale else []
    run = f"snakemake --cores all {' '.join(dict.fromkeys(make))}"
    return [f"rm {' '.join(damaged)}", run] if damaged else [run]
