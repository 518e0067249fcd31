"""Finished runs of tasks in a file, kept as they end."""

import json
import os


class Kept:
    """Runs of a step that may be stopped.

    Args:
        path: JSONL of finished runs. A line that a killed step left unfinished is ignored.
    """

    def __init__(self, path):
        self._found = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.is_file() else b""
        for line in before.splitlines():
            try:
                row = json.loads(line)
                self._found[row["task"], row["trial"]] = tuple(row["lines"])
            except (ValueError, LookupError, TypeError):
                continue
        self._file = path.open("ab")
        if before and not before.endswith(b"\n"):
            self._file.write(b"\n")

    def has(self, task, trial):
        return (task["id"], trial) in self._found

    def add(self, task, trial, lines):
        """Keep a run.

        Args:
            lines: of traces.jsonl and times.jsonl.
        """
        self._found[task["id"], trial] = lines
        row = {"task": task["id"], "trial": trial, "lines": lines}
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def write(self, todo, *paths):
        """Write the lines of all runs, in the order of `todo`, [(task, trial)]."""
        rows = [self._found[task["id"], trial] for task, trial in todo]
        for path, lines in zip(paths, zip(*rows, strict=True), strict=True):
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
