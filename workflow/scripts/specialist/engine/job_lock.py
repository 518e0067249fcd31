"""Lets one job at a time write a file, even if a job of a killed run still works.

Each running job has a file in FOLDER. The file has the name of the job's first output, and is
locked as long as its process lives. It lists what the job may leave behind. Snakemake deletes the
outputs and logs of a job before it starts it again, so none of those can be the lock.

If a file exists and is not locked, its job was killed. The next run removes what the file lists.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from specialist.core import scratch
from specialist.core.files import unfinished

FOLDER, SCRIPTS = Path(".snakemake/specialist/jobs"), Path(".snakemake/scripts")
AGE = 60  # seconds after which the interpreter has certainly read its copy of a script


@contextlib.contextmanager
def lock(outputs, folder=FOLDER):
    """Let only this process write these outputs; wait, and report it, while another one does.

    Args:
        outputs: paths.
        folder: of the locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(outputs[0].encode(errors='replace')).hexdigest()[:16]}.json"
    with _held(path, outputs[0]) as file:
        json.dump([*leavings(outputs), *_script()], file)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def leavings(outputs):
    """Paths beside outputs that a killed job may leave behind, without its checkpoints."""
    beside = (f"{path}{scratch.SUFFIX}" for path in outputs)
    half = (str(Path(path).with_suffix(".unfinished")) for path in outputs)
    return [*beside, *half, *map(unfinished, outputs), unfinished(f"{outputs[0]}.provenance.json")]


def _script():
    """The copy of the script that Snakemake made for this process."""
    import sys

    path = Path(sys.argv[0])
    return [str(path.absolute())] if path.parent.name == SCRIPTS.name else []


@contextlib.contextmanager
def _held(path, output):
    """The locked file at a path, empty."""
    told = False
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                print(f"{output}: a job of a killed run still writes it; waiting until it ends")
            told = True
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        # The process that had it may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                break
        file.close()
    with file:
        file.truncate(0)
        yield file


def clear(folder=FOLDER, scripts=SCRIPTS):
    """Remove what killed jobs left behind; what a process still uses stays.

    Only a run that has the folder's lock (lock.py) may call this. Otherwise two runs could remove
    each other's files.
    """
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in _named(file):
                _remove(left)
            path.unlink(missing_ok=True)
    # Files of jobs that were killed before they called `lock`.
    for path in scripts.glob("tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > AGE:
                _remove(path)


def _named(file):
    try:
        names = json.load(file)
    except ValueError:  # killed while it wrote them
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        Path(path).unlink(missing_ok=True)
