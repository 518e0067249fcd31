"""Locks that end with the process that holds them, so that a killed run leaves none behind.

Snakemake's own lock is a file, which stays after a kill until a person removes it; the default
profile switches it off, and the Snakefile takes this one.
"""

import fcntl
import os
import socket
from pathlib import Path

from specialist.step import UserError


class RunLock:
    """Lets one run at a time work in a folder.

    Args:
        path: file to lock; it holds who has locked it.
    """

    def __init__(self, path):
        self.path, self._file = Path(path), None

    def take(self):
        """Hold the lock until this process ends.

        Raises:
            UserError: another run holds it, or the file system has no locks.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115, it is held open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"another run works in {Path.cwd()} ({file.read().strip()}); wait for its end, "
                "or end it"
            ) from None
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be locked ({error.strerror}); make sure yourself that no "
                "other run works in this folder, and add --no-hooks"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file
