"""Results in a storage such as S3, with --default-storage-provider of Snakemake.

Snakemake keeps a local copy of each file below `.snakemake/storage/`, and gives a script the paths
of these copies. Here this folder is called the mirror. A step runs in its mirror, so it sees the
same paths as in a run without storage: results/... and the sources of the project.

Only results are in the storage. Sources are files of the project. Snakemake itself sends those that
git tracks to jobs on other machines.

The record of a job goes into the storage with its first output. A run in another folder, or on
another machine, reads the records to find what must run again. File times cannot show this: a fresh
clone is newer than all results.

Like internals.py, this module uses undocumented parts of Snakemake; tests/e2e/test_storage.py runs
them all.
"""

import contextlib
import json
import os
import subprocess
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.files import sha256
from specialist.engine import records
from specialist.engine.contract import flat
from specialist.engine.internals import MAIN, attribute
from specialist.engine.keys import files_of, paths

RESULTS, MIRRORS = "results", os.path.join(".snakemake", "storage")
LARGEST = 10_000_000  # bytes of a source that Snakemake sends to a job on another machine


def mirror_of(path):
    """The folder below which a path is `results/...`, or None for a file that is in no storage."""
    head, found, _ = str(path).partition(f"{os.sep}{RESULTS}{os.sep}")
    return head if found and head.startswith(MIRRORS + os.sep) else None


def inside(path):
    """A path as steps see it: without its mirror."""
    folder = mirror_of(path)
    return os.path.relpath(path, folder) if folder else str(path)


def enter(job):
    """Go to the mirror of a job, if it has one, and remove the mirror from the job's paths.

    Args:
        job: the object that Snakemake gives to a script; it is changed.
    """
    if not (folder := mirror_of(next(paths(job.output)))):
        return
    for name in os.listdir():
        if name != RESULTS:
            with contextlib.suppress(FileExistsError):
                os.symlink(os.path.abspath(name), os.path.join(folder, name))
    for section in (job.input, job.output, job.log):
        names = list(attribute(section, "_get_names")())
        section[:] = [
            inside(path) if mirror_of(path) or section is not job.log else os.path.abspath(path)
            for path in section
        ]
        for name, (index, end) in names:
            section._set_name(name, index, end=end)
    kept = job.config["cache"]
    kept["folder"] = os.path.abspath(os.path.expanduser(kept["folder"]))
    os.chdir(folder)


def set_up(workflow):
    """Let a run with storage keep its sources here and its records there.

    Call it before the rules are read, and after the other functions that change how the jobs of a
    run are found.
    """
    if not attribute(workflow, "storage_settings.default_storage_provider"):
        return
    if RESULTS in str(attribute(workflow, "storage_settings.default_storage_prefix")).split("/"):
        raise UserError(
            f"--default-storage-prefix: found a folder '{RESULTS}' in it; choose another name, "
            f"because the workflow adds {RESULTS}/ itself"
        )
    _keep_sources_here(attribute(workflow, "modifier.path_modifier"))
    _store_records()
    _ignore_times()
    if attribute(workflow, "exec_mode").name == MAIN:
        _compare_records(workflow)


def _keep_sources_here(modifier):
    apply = attribute(modifier, "apply_default_storage")

    def apply_to_results(path):
        return apply(path) if str(path).startswith(f"{RESULTS}/") else path

    modifier.apply_default_storage = apply_to_results


def _store_records():
    """Make Snakemake store the record beside each file that has one."""
    from snakemake.io import _IOFile

    store = attribute(_IOFile, "store_in_storage")
    if store.__module__ == __name__:
        return

    async def store_with_record(self):
        await store(self)
        if self.is_storage and os.path.isfile(f"{self}{records.SUFFIX}"):
            await _record_of(self).managed_store()

    _IOFile.store_in_storage = store_with_record


def _ignore_times():
    """Make Snakemake regard no input as newer than an output; the records decide."""
    from snakemake.io import _IOFile

    attribute(_IOFile, "is_newer")

    async def is_newer(self, time):
        return False

    _IOFile.is_newer = is_newer


def _record_of(file):
    """The storage object of the record of a file in a storage."""
    known = attribute(file, "storage_object")
    return known.provider.object(f"{known.query}{records.SUFFIX}")


def _compare_records(workflow):
    """Make the run repeat the jobs that differ from their records in the storage."""
    build = attribute(workflow, "_build_dag")

    def build_and_compare():
        build()
        dag = attribute(workflow, "dag")
        jobs = [job for job in attribute(dag, "jobs") if job.output and mirror_of(job.output[0])]
        for job in jobs:
            attribute(workflow, "async_run")(_fetch_record(job.output[0]))
        if not attribute(workflow, "local_exec"):
            refuse_unknown_sources(source for job in jobs for source in job.input)
        if found := outdated(jobs):
            attribute(dag, "forcefiles").update(found)
            attribute(workflow, "async_run")(attribute(dag, "postprocess")())

    workflow._build_dag = build_and_compare


async def _fetch_record(output):
    """Fetch the record of a job's first output, if the storage has one."""
    stored = _record_of(output)
    if await stored.managed_exists():
        await stored.managed_retrieve()


def outdated(jobs):
    """Outputs in a storage whose jobs have other parameters, code or inputs than their records.

    Args:
        jobs: of the whole run, with `output`, `input` and `params`.

    Returns:
        list of paths, the first output of each such job, and of each job without a record.
    """
    made, known = {}, [(job, records.beside(str(job.output[0]))) for job in jobs]
    for _, record in known:
        made |= record["outputs"] if record else {}
    return [job.output[0] for job, record in known if not record or _differs(job, record, made)]


def _differs(job, record, made):
    if json.loads(json.dumps(flat(job.params), default=str)) != record["params"]:
        return True
    now = {}
    for path in paths(job.input):
        if mirror_of(path):
            now[inside(path)] = made.get(inside(path), record["inputs"].get(inside(path)))
        else:
            now |= {name: sha256(name) for name in files_of(path)}
    return _named(now) != _named(record["inputs"])


def _named(hashes):
    """Names and contents without folders: a package may be in another folder on another machine."""
    return sorted((os.path.basename(path), str(digest)) for path, digest in hashes.items())


def refuse_unknown_sources(sources):
    """Check that jobs on other machines get their sources.

    Args:
        sources: paths; those in a storage and those outside the project are not checked.

    Raises:
        UserError: git does not know a file, or it is too large for Snakemake to send it.
    """
    own = {str(path) for path in sources if not mirror_of(path) and not os.path.isabs(str(path))}
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode:
        raise UserError(
            f"{Path.cwd()} is no git repository; Snakemake sends only files that git tracks to "
            "other machines; run: git init, git add ., git commit"
        )
    tracked = set(listed.stdout.split("\0"))
    files = {name for path in own for name in files_of(path)}
    if unknown := sorted(files - tracked):
        raise UserError(
            f"{', '.join(unknown[:5])}{' and others' if unknown[5:] else ''}: git does not know "
            "these inputs, so jobs on other machines would not get them; run git add on them"
        )
    if large := sorted(name for name in files if os.path.getsize(name) > LARGEST):
        raise UserError(
            f"{', '.join(large)}: larger than {LARGEST // 10**6} MB, so Snakemake does not send "
            "them to other machines; split them"
        )
