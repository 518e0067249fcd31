"""What the digests found in the modules, kept for later starts of Snakemake.

Each start reads the Snakefile, also in the process of each job, and the digests of all rules read
every module. That was much of the processor time of a start. A run therefore keeps what it found,
with the state of each file. Reading the Snakefile itself still writes nothing.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from specialist.core.files import write_whole

PATH = Path(".snakemake/specialist/code.json")
SETTLED = 2  # seconds after which another change of a file certainly changes its times


class KnownCode:
    """What was found in files that have not changed since.

    Args:
        reader: path of the code that reads them. Other code, or another Python, finds other things.
        path: JSON that keeps what was found.
    """

    def __init__(self, reader, path=PATH):
        self.path, self._changed = path, False
        code = Path(reader).read_bytes() + sys.version.encode()
        self._reader = hashlib.sha256(code).hexdigest()
        self._found = {}
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["reader"] == self._reader:
                self._found = dict(kept["files"].items())

    def get(self, file):
        """What was found in a file; None if that is not known, or the file has changed."""
        with contextlib.suppress(LookupError, TypeError):
            known = self._found[str(file)]
            return known["found"] if known["state"] == state(file) else None
        return None

    def add(self, file, found, before):
        """Note what was found in a file.

        Args:
            found: what JSON can hold.
            before: `state` of the file before it was read.
        """
        if time.time() - max(before[1:3]) / 1e9 > SETTLED:
            self._found[str(file)] = {"state": before, "found": found}
            self._changed = True

    def save(self):
        """Keep what was found, if something is new. A folder that cannot be written is no error."""
        if self._changed:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                kept = {"reader": self._reader, "files": self._found}
                write_whole(self.path, json.dumps(kept))


def state(file):
    """[bytes, modified, changed, inode]; writing to a file or replacing it changes one of them."""
    found = os.stat(file)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
