"""A lock that ends with its process, so that a killed run leaves no lock behind.

Snakemake's own lock is a file, which stays after a kill until a person removes it; the default
profile switches it off, and the Snakefile takes this one.
"""

import fcntl
import os
import socket
from pathlib import Path

from specialist.core.errors import UserError

_held = []  # a file that is closed is no longer locked


def hold(path):
    """Lock the current folder for this run until its process ends.

    Args:
        path: file to lock; it names the process that has locked it.

    Raises:
        UserError: another run holds it, or the file system has no locks.
    """
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise UserError(
            f"another run works in {Path.cwd()} ({file.read().strip()}); wait until it "
            "ends, or stop it"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be locked ({error.strerror}); make sure that no other run "
            "works in this folder, then add --no-hooks"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _held.append(file)
