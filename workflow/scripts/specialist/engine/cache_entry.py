"""An entry of the cache on the disk: a folder with the files of one key and a manifest."""

import contextlib
import fcntl
import json
import os
import re
import shutil
from pathlib import Path

from specialist.core.files import sha256
from specialist.engine import records

MANIFEST = "manifest.json"
HASH = re.compile("[0-9a-f]{64}")


class Damaged(Exception):
    """An entry is not what the cache wrote; the text says why."""


def read(entry):
    """The manifest of an entry; None if there is no entry, or it cannot be read for now.

    Raises:
        Damaged: the file is not a manifest.
    """
    try:
        if not (entry / MANIFEST).is_file():  # reading a pipe would never end
            if os.path.lexists(entry):
                raise Damaged(f"{MANIFEST} is missing")
            return None
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        return None
    except (ValueError, RecursionError):
        raise Damaged(f"{MANIFEST} is not JSON") from None
    if wrong := problem(manifest):
        raise Damaged(f"{MANIFEST}: {wrong}")
    return manifest


def problem(manifest):
    """What is wrong with the content of a manifest, in words; None if nothing is."""
    if not isinstance(manifest, dict):
        return f"found {type(manifest).__name__}, expected an object"
    hashes = manifest.get("sha256")
    if not isinstance(hashes, list) or not all(
        isinstance(digest, str) and HASH.fullmatch(digest) for digest in hashes
    ):
        return "sha256: expected a list of hashes"
    if wrong := records.problem(manifest.get("provenance")):
        return f"provenance: {wrong}"
    return None


def row(entry, key, manifest):
    """The row of the index for the entry in a folder."""
    size = sum(file.stat().st_size for file in entry.iterdir())
    made = manifest["provenance"]
    script = next(iter(str(made["params"].get("code", "")).split()[1:]), None)
    used = (entry / MANIFEST).stat().st_mtime
    return key, used, size, made["rule"], script, records.seconds(made)


@contextlib.contextmanager
def held(folder):
    """Lock a folder for a block.

    Raises:
        BlockingIOError: another process has it locked.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(number)


def remove(path):
    """Remove a folder, or a file in its place, as far as that can be done."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def holds(path, expected):
    """Whether a path is a file with that SHA-256."""
    return path.is_file() and sha256(path) == expected


def link(source, target):
    """Share a file that a step made between two places, or copy it where that cannot be.

    Nothing writes into a file of results/ in place: Snakemake removes outputs before a step
    makes them again. The hash shows what somebody edits by hand. Files of the user never come
    here, because a step makes its own files (core/files.py: copy).
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
