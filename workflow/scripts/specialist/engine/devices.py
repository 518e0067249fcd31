"""The GPUs that a step sees: as many as its rule asked for, and no other step's.

Without this, each job of a machine with eight GPUs would see all of them.
"""

import fcntl
import os
import tempfile
import time
from pathlib import Path

from specialist.core.hardware import VISIBLE, gpus

WAIT = 1.0  # seconds between two looks for a free GPU
_held = []  # open locks; they end with the process


def visible():
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    if (given := os.environ.get(VISIBLE)) is not None:
        return [name for name in given.split(",") if name]
    return gpus("uuid")


def hide(asked):
    """Hide all GPUs from a step that asked for none.

    Args:
        asked: number of GPUs that the job asked for.
    """
    if not asked and visible():
        os.environ[VISIBLE] = ""


def claim(asked):
    """Choose GPUs that no other step of this machine has, and hide the others; wait until then.

    A scheduler such as Slurm has chosen already: then there are no others to hide.

    Args:
        asked: number of GPUs that the job asked for.
    """
    found = visible()
    if not 0 < asked < len(found):
        return
    folder = Path(tempfile.gettempdir(), f"specialist-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    told = False
    while len(taken := _lock(folder, found, asked)) < asked:
        if not told:
            print(f"waiting for {asked} of {len(found)} GPUs; other jobs have them")
            told = True
        time.sleep(WAIT)
    os.environ[VISIBLE] = ",".join(taken)
    print(f"uses GPU {os.environ[VISIBLE]} of {len(found)}")


def _lock(folder, names, asked):
    """Lock as many GPUs as asked for, or none; returns the names of those locked."""
    files = {}
    for name in names:
        file = open(folder / name.replace("/", "_"), "w")  # noqa: SIM115 - open while it is held
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        files[name] = file
        if len(files) == asked:
            _held.extend(files.values())
            return list(files)
    for file in files.values():
        file.close()
    return []
