"""Scratch space beside a file while it is written."""

import contextlib
import shutil

SUFFIX = ".scratch"


@contextlib.contextmanager
def scratch(made):
    """A scratch folder beside a file; it is removed at the end.

    Its name is always the same. So the next job that makes the file, or the next run, finds and
    removes what a killed job left there.
    """
    folder = made.with_name(f"{made.name}{SUFFIX}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
