"""Chroma stores that are unpacked once, beside their zip, for all processes that search them.

Chroma writes to a store when it opens it. The unpacked folder is therefore not an output:
Snakemake, the cache and `verify.py` use only the zip. The folder can be deleted when no job runs.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from specialist.core.errors import UserError
from specialist.rag.index_files import REMEDY
from specialist.rag.retrieval import COLLECTION, chroma

SUFFIX = ".unpacked"  # of the folder with what a zip contains
UNFINISHED = "unfinished"


@contextlib.contextmanager
def collection(store):
    """The collection of a store, in the folder that is unpacked beside it.

    If this folder cannot be written or locked, it is a private one.

    Args:
        store: zip of build_chroma.

    Raises:
        UserError: the zip is damaged.
    """
    with contextlib.ExitStack() as stack:
        shared = _beside(store) or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # One process at a time unpacks and opens the store, as both write.
        with _lock(shared, fcntl.LOCK_EX):
            folder = shared / _version(store)
            _clear(shared, folder)
            if not folder.exists():
                _unpack(store, shared / UNFINISHED, folder)
            # Nobody removes the folder while it is in use.
            stack.enter_context(_lock(folder, fcntl.LOCK_SH))
            client = stack.enter_context(contextlib.closing(chroma(folder)))
            found = client.get_collection(COLLECTION, embedding_function=None)
        yield found


def _beside(store):
    """The folder that processes share; None where it cannot be written or locked."""
    folder = Path(f"{store}{SUFFIX}")
    try:
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(BlockingIOError), _lock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB):
            tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


def _version(store):
    """A name for the content of a file: its size, time and place, as reading it takes long."""
    state = os.stat(store)
    seen = f"{state.st_size} {state.st_mtime_ns} {state.st_ino}"
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _lock(folder, kind):
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, kind)
        yield
    finally:
        os.close(number)  # ends the lock, as the end of the process does


def _clear(shared, kept):
    """Remove what an older zip contained, unless it is in use, and what a killed process left."""
    for other in shared.iterdir():
        if other != kept and other.is_dir():
            with contextlib.suppress(BlockingIOError), _lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(other)


def _unpack(store, unfinished, folder):
    try:
        shutil.unpack_archive(store, unfinished)
    except (shutil.ReadError, zipfile.BadZipFile, EOFError, zlib.error):
        shutil.rmtree(unfinished, ignore_errors=True)
        raise UserError(f"{store}: the store is damaged; {REMEDY}") from None
    unfinished.rename(folder)
