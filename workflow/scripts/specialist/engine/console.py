"""Output of a job to the terminal and its log, and the time of its imports."""

import builtins
import contextlib
import gc
import time


@contextlib.contextmanager
def import_clock():
    """Seconds spent in imports while the block runs, in the one-item list it yields.

    An import of Transformers makes many objects and drops few. Garbage collection is therefore off
    during imports.
    """
    spent, depth, original = [0.0], [0], builtins.__import__

    def timed(*args, **kwargs):
        if depth[0]:
            return original(*args, **kwargs)
        depth[0], start, collects = 1, time.perf_counter(), gc.isenabled()
        gc.disable()
        try:
            return original(*args, **kwargs)
        finally:
            depth[0] = 0
            spent[0] += time.perf_counter() - start
            if collects:
                gc.enable()

    builtins.__import__ = timed
    try:
        yield spent
    finally:
        builtins.__import__ = original


class Tee:
    """Writes to the terminal and to a log; a carriage return becomes a line in the log.

    If the log cannot be written, for example on a full disk, the step goes on.
    """

    def __init__(self, terminal, log):
        self.terminal, self.log = terminal, log

    def write(self, text):
        # Names of files may contain bytes that are not text.
        text = text.encode("utf-8", "backslashreplace").decode()
        self.terminal.write(text)
        with contextlib.suppress(OSError):
            self.log.write(text.replace("\r", "\n"))

    def flush(self):
        self.terminal.flush()
        with contextlib.suppress(OSError):
            self.log.flush()

    def isatty(self):
        return False

    def fileno(self):
        return self.terminal.fileno()
