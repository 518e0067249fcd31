"""A cache of what steps made, found by what they were made from.

The key is a hash of all that decides a step's outputs: the digest of its code, its parameters,
and the names and contents of its inputs. Threads, times and folders are no part of it. So an
output that was made once is taken from here when it is wanted again: after a dataset, a seed or
an adapter was switched away and back, when results/ was deleted, from another checkout, or when
an upstream step ran again and made the same bytes.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from specialist.core.files import sha256

MANIFEST = "manifest.json"
HOUR = 3600  # seconds; storing takes less


def key(rule, params, inputs, outputs):
    """The key of a step's outputs.

    Args:
        rule: name of the rule's script or of the rule.
        params: the rule's parameters, the digest of its code among them.
        inputs: {argument: [(file name, SHA-256), ...]}.
        outputs: {argument: [file name, ...]}.
    """
    parts = json.dumps([rule, params, inputs, outputs], sort_keys=True, default=str)
    return hashlib.sha256(parts.encode()).hexdigest()


class Cache:
    """A folder of entries, each a folder with the files of one key and a manifest.

    Several runs may share it: an entry appears whole, by one rename, or not at all.

    Args:
        folder: where it lies; "~" is the home folder.
        max_gb: size, in 10**9 bytes, above which the entries not used for longest are removed;
            0 switches the cache off.
    """

    def __init__(self, folder, max_gb):
        self.folder, self.limit = Path(folder).expanduser(), max_gb * 1e9

    def _entry(self, key):
        return self.folder / key[:2] / key

    def lookup(self, key):
        """What is kept under a key: a dict with "sha256", a list in the order of the outputs, and
        "provenance"; None if the cache is off or does not know the key.
        """
        try:
            text = (self._entry(key) / MANIFEST).read_text(encoding="utf-8")
            return json.loads(text) if self.limit else None
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def restore(self, key, outputs):
        """Put the files of a key where a step would have written them.

        Args:
            outputs: paths, in the order in which they were stored.

        Returns:
            what `store` was given as `provenance`; None if the cache is off, the key is not
            known, or its entry was damaged: that is said, and the entry dropped.
        """
        if not self.limit:
            return None
        entry = self._entry(key)
        try:
            manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
            with contextlib.suppress(OSError):  # the cache may only be read
                os.utime(entry / MANIFEST)
            for number, path in enumerate(outputs):
                _link(entry / str(number), path)
                if sha256(path) != manifest["sha256"][number]:
                    raise ValueError(f"{Path(path).name} is not what was stored")
                os.utime(path)  # newer than the inputs, as if it had just been made
        except (FileNotFoundError, NotADirectoryError) as error:
            problem = f"{error.filename} is missing"
        except (ValueError, KeyError, IndexError) as error:
            problem = error
        else:
            return manifest["provenance"]
        if entry.exists():
            print(f"cache: {entry} is damaged ({problem}); it is dropped, and the step runs")
            shutil.rmtree(entry, ignore_errors=True)
        # The step opens its outputs for writing, and must not write into shared files.
        for path in outputs:
            Path(path).unlink(missing_ok=True)
        return None

    def store(self, key, outputs, provenance):
        """Keep the files that a step made, unless the cache is off or has them.

        A cache that cannot be written (full, read-only) is said, and costs no step its work.

        Args:
            outputs: {path: SHA-256}.
            provenance: what `restore` is to return, for JSON.
        """
        entry = self._entry(key)
        if not self.limit or entry.exists():
            return
        try:
            self._store(entry, outputs, provenance)
            self.prune(self.limit)
        except OSError as error:
            print(f"cache: nothing is kept in {self.folder}: {error}")

    def _store(self, entry, outputs, provenance):
        entry.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=entry.parent, prefix="new-"))
        try:
            for number, path in enumerate(outputs):
                _link(path, made / str(number))
            manifest = {"sha256": list(outputs.values()), "provenance": provenance}
            (made / MANIFEST).write_text(json.dumps(manifest, default=str), encoding="utf-8")
            if not entry.exists():  # another run may have been quicker
                made.rename(entry)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def replace(self, key, outputs, provenance):
        """Like `store`, in place of what is kept; says so if that was damaged or differs."""
        if known := self.lookup(key):
            entry, old = self._entry(key), dict(zip(outputs, known["sha256"], strict=True))
            for number, path in enumerate(outputs):
                if not _holds(entry / str(number), old[path]):
                    print(f"cache: {path} was damaged in {entry}; it is replaced")
            if other := [path for path in outputs if outputs[path] != old[path]]:
                threads = [made.get("threads") for made in (known["provenance"], provenance)]
                print(
                    f"cache: other bytes than when it was last computed from the same inputs, "
                    f"parameters and code, with {threads[0]} threads then and {threads[1]} now: "
                    f"{', '.join(other)}"
                )
            shutil.rmtree(entry, ignore_errors=True)
        self.store(key, outputs, provenance)

    def entries(self):
        """(seconds since the epoch of the last use, bytes, folder, manifest), oldest use first."""
        found = []
        for path in self.folder.glob(f"??/[0-9a-f]*/{MANIFEST}"):
            with contextlib.suppress(FileNotFoundError):  # pruned by another run
                size = sum(file.stat().st_size for file in path.parent.iterdir())
                manifest = json.loads(path.read_text(encoding="utf-8"))
                found.append((path.stat().st_mtime, size, path.parent, manifest))
        return sorted(found, key=lambda entry: entry[:3])

    def prune(self, limit):
        """Remove the entries not used for longest until `limit` bytes are not exceeded.

        Returns:
            the number of bytes that were removed.
        """
        for half in self.folder.glob("??/new-*"):  # of a run that was killed while it stored
            with contextlib.suppress(FileNotFoundError):
                if time.time() - half.stat().st_mtime > HOUR:
                    shutil.rmtree(half)
        entries = self.entries()
        total, removed = sum(size for _, size, _, _ in entries), 0
        for _, size, folder, _ in entries:
            if total - removed <= limit:
                break
            shutil.rmtree(folder, ignore_errors=True)
            removed += size
        return removed


def _holds(path, expected):
    return path.is_file() and sha256(path) == expected


def _link(source, target):
    """Share a file between two places, or copy it where the file system cannot.

    Nothing writes into a file of results/ in place: Snakemake removes outputs before a step
    makes them anew. What somebody edits by hand is found out by its hash.
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
