"""Room beside a file that is being made."""

import contextlib
import shutil


@contextlib.contextmanager
def scratch(made):
    """A folder to work in beside a file; it is removed at the end.

    Its name is always the same, so that what a killed run left there goes with the next one.
    """
    folder = made.with_name(f"{made.name}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
