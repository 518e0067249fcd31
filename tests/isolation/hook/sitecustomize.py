"""Refuses reads by absolute paths; Python runs this file when it starts (see isolated.py).

The job stands in a folder of its own that holds its declared inputs only, so reads by relative
paths need no check. An absolute path leads out of this folder.
"""

import os
import sys

ROOTS, ALLOWED = (
    tuple(os.environ[name].split(os.pathsep)) for name in ("ISOLATION_ROOTS", "ISOLATION_ALLOWED")
)
EVENTS = ("open", "os.listdir", "os.scandir", "sqlite3.connect")


def refuse(event, arguments):
    """An audit hook: raises PermissionError for what the job did not declare."""
    if event not in EVENTS or not (job := getattr(sys.modules.get("__main__"), "snakemake", None)):
        return
    path = arguments[0] if arguments else None
    if not isinstance(path, (str, os.PathLike)):  # a number of an open file, or bytes of a program
        return
    path = os.path.abspath(path)
    if path in sys.path:  # folders that Python lists to find modules, the project's among them
        return
    if _below(path, ROOTS) and not _below(path, (os.getcwd(), *ALLOWED, *_declared(job))):
        text = f"isolation: {job.rule} does not declare {path} ({event})"
        print(text, file=sys.stderr)
        raise PermissionError(text)


def _below(path, folders):
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def _declared(job):
    return [os.path.abspath(str(path)) for path in job.input]


sys.addaudithook(refuse)
