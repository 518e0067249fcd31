"""The replies of a teacher in a file, written as they arrive: a stopped run asks for none twice."""

import hashlib
import json
import os
import threading

from specialist.core.completions import MalformedError, Reply


class Journal:
    """Asks a teacher, and keeps what it replied.

    Args:
        path: JSONL of the replies; those in it are not asked for again. A line that a killed run
            left unfinished is ignored.
        teacher: see `specialist.synthesis.teacher`.
        seed: of all requests; each has its own, derived from it and the prompt.

    Attributes:
        asked, known: number of requests to the teacher, and of replies taken from the file.
    """

    def __init__(self, path, teacher, seed):
        self.teacher, self.seed, self.asked, self.known = teacher, seed, 0, 0
        self._lock, self._replies = threading.Lock(), {}
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.is_file() else b""
        for line in before.splitlines():
            try:
                row = json.loads(line)
                self._replies[row["request"]] = row
            except (ValueError, LookupError, TypeError):
                continue
        self._file = path.open("ab")
        if before and not before.endswith(b"\n"):
            self._file.write(b"\n")

    def ask(self, prompt, choices=()):
        """The reply to a prompt, as a `specialist.core.completions.Reply`.

        Args:
            choices: the only replies of a local model; see `Served.ask`.

        Raises:
            UserError: the teacher cannot be reached.
            MalformedError: what it replied is no completion; this is kept too.
        """
        request = hashlib.sha256(f"{self.seed}/{prompt}".encode()).hexdigest()
        row = self._replies.get(request)
        if row:
            self.known += 1
        else:
            row = {"request": request, **self._ask(prompt, int(request[:8], 16) >> 1, choices)}
            with self._lock:
                self.asked += 1
                self._replies[request] = row
                self._file.write(json.dumps(row).encode() + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        if "malformed" in row:
            raise MalformedError(row["malformed"])
        return Reply(row["text"], row["whole"])

    def _ask(self, prompt, seed, choices):
        try:
            return self.teacher.ask(prompt, seed, choices)._asdict()
        except MalformedError as error:
            return {"malformed": str(error)}

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
