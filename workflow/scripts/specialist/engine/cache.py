"""A cache of step outputs. The key is made from everything that determines them.

The key is a hash of what determines a step's outputs: the digest of its code, its parameters,
and the names and contents of its inputs. Threads, times and folders are not in the key. An output
is restored when it is needed again: after switching a dataset, a seed or an adapter away and back,
after deleting results/, in another checkout, or when an earlier step ran again and wrote the same
bytes.

A damaged or foreign entry is reported, removed and never used. No method fails because of the
contents of the folder, or because the folder cannot be written.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from specialist.core.files import flush, sha256
from specialist.engine.cache_entry import (
    HASH,
    MANIFEST,
    Damaged,
    held,
    holds,
    link,
    problem,
    read,
    remove,
    row,
)
from specialist.engine.cache_index import Index

UNFINISHED = "unfinished"
REMOVERS = 8  # threads that remove entries
AGE = 60  # seconds after which an unfinished entry that nobody holds is removed


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
        folder: its path; "~" is the home folder.
        max_gb: largest size in 10**9 bytes; above it, the least recently used entries are
            removed. 0 turns the cache off.
    """

    def __init__(self, folder, max_gb):
        self.folder, self.limit = Path(folder).expanduser(), max_gb * 1e9
        self.index = Index(self.folder, self._walk, lambda key: self._entry(key).exists())

    def _entry(self, key):
        return self.folder / key[:2] / key

    def lookup(self, key):
        """What is kept under a key: a dict with "sha256", a list in the order of the outputs, and
        "provenance"; None if the cache is off, does not know the key, or its entry is damaged.
        """
        with contextlib.suppress(Damaged):
            return read(self._entry(key)) if self.limit else None
        return None

    def restore(self, key, outputs):
        """Put the files of a key where a step would have written them.

        Args:
            outputs: paths, in the order in which they were stored.

        Returns:
            what `store` was given as `provenance`; None if the cache is off, the key is not
            known, or its entry was damaged, which is reported and removes the entry.
        """
        manifest = None
        if self.limit:
            try:
                if manifest := read(self._entry(key)):
                    self._take(key, manifest, outputs)
            except Damaged as error:
                manifest = self._drop(key, error)
            except OSError as error:  # the outputs cannot be written, or the cache not be read
                print(f"cache: {self._entry(key)} is not used: {error}")
                manifest = None
        if manifest:
            return manifest["provenance"]
        # The step opens its outputs for writing, and must not write into shared files.
        for path in outputs:
            if not os.path.isdir(path):
                Path(path).unlink(missing_ok=True)
        return None

    def _take(self, key, manifest, outputs):
        if len(manifest["sha256"]) != len(outputs):
            raise Damaged(f"it holds {len(manifest['sha256'])} files, expected {len(outputs)}")
        entry = self._entry(key)
        for number, path in enumerate(outputs):
            if not (entry / str(number)).is_file():
                raise Damaged(f"{entry / str(number)} is missing")
            link(entry / str(number), path)
            if sha256(path) != manifest["sha256"][number]:
                raise Damaged(f"{Path(path).name} has changed in the cache")
            os.utime(path)  # newer than the inputs, as if it had just been made
        with contextlib.suppress(OSError):  # the cache may only be read
            os.utime(entry / MANIFEST)
            self.index.use(key)

    def _drop(self, key, problem):
        """Remove a damaged entry, and report it."""
        entry = self._entry(key)
        print(f"cache: {entry} is damaged ({problem}); it is removed")
        remove(entry)
        self.index.drop(key)

    def store(self, key, outputs, provenance):
        """Keep the files that a step made, unless the cache is off or has them.

        If the cache cannot be written (full, read-only), this is reported, and the step goes on.

        Args:
            outputs: {path: SHA-256}.
            provenance: what `restore` is to return: a record, see records.py.
        """
        if not self.limit:
            return
        try:
            if read(self._entry(key)):
                return
        except Damaged as error:
            self._drop(key, error)
        try:
            self._store(key, outputs, provenance)
            self.prune(self.limit)
        except (OSError, ValueError) as error:
            print(f"cache: could not store in {self.folder}: {error}")

    def _store(self, key, outputs, provenance):
        entry, waiting = self._entry(key), self.folder / UNFINISHED
        manifest = {"sha256": list(outputs.values()), "provenance": provenance}
        text = json.dumps(manifest, default=str)
        if wrong := problem(json.loads(text)):
            raise ValueError(f"this is not a record: {wrong}")
        for folder in (entry.parent, waiting):
            if not folder.is_dir():
                remove(folder)  # a file, or a link that leads nowhere
            folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=waiting))
        try:
            with held(made):
                for number, path in enumerate(outputs):
                    link(path, made / str(number))
                    flush(made / str(number))
                (made / MANIFEST).write_text(text, encoding="utf-8")
                flush(made / MANIFEST)
                flush(made)
                noted = row(made, key, manifest)
                if not entry.exists():  # another run may have been quicker
                    made.rename(entry)
                    flush(entry.parent)
            self.index.add(*noted)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def replace(self, key, outputs, provenance, cost=None):
        """Like `store`, but replace the entry; report it if the entry was damaged or differs.

        Args:
            cost: path of the output with time and memory, which differs in each run.
        """
        known = self.lookup(key)
        if known and len(known["sha256"]) == len(outputs):
            entry, old = self._entry(key), dict(zip(outputs, known["sha256"], strict=True))
            for number, path in enumerate(outputs):
                if not holds(entry / str(number), old[path]):
                    print(f"cache: {path} was damaged in {entry}; it is replaced")
            if other := [path for path in outputs if outputs[path] != old[path] and path != cost]:
                threads = [made.get("threads") for made in (known["provenance"], provenance)]
                print(
                    f"cache: the bytes differ from the last run with the same inputs, "
                    f"parameters and code, with {threads[0]} threads then and {threads[1]} now: "
                    f"{', '.join(other)}"
                )
        if known:
            remove(self._entry(key))
        self.store(key, outputs, provenance)

    def costs(self, script):
        """Records of what a script took when it was computed, the one used last first."""
        found = map(self.lookup, self.index.of_script(script) if self.limit else ())
        return [manifest["provenance"] for manifest in found if manifest]

    def rows(self):
        """What the index holds, in the order of its COLUMNS, oldest use first."""
        return self.index.rows() if self.folder.is_dir() else []

    def prune(self, limit):
        """Remove the least recently used entries until the cache has at most `limit` bytes.

        Returns:
            the number of bytes that were removed.
        """
        self._clear()
        if not self.folder.is_dir():
            return 0
        left, removed = self.index.size(), 0
        while left > limit and (oldest := self.index.oldest()):
            gone = []
            for key, size in oldest:
                if left <= limit:
                    break
                gone.append(key)
                left, removed = left - size, removed + size
            # The file system lets a thread wait for each folder that it removes.
            with ThreadPoolExecutor(REMOVERS) as pool:
                list(pool.map(remove, map(self._entry, gone)))
            self.index.drop(*gone)
        return removed

    def _clear(self):
        """Remove unfinished entries of killed runs."""
        for half in (self.folder / UNFINISHED).glob("*"):
            with contextlib.suppress(OSError):
                if time.time() - half.stat().st_mtime > AGE:
                    with held(half):
                        remove(half)

    def _walk(self):
        """The index's row of each entry; damaged ones are dropped."""
        for entry in self.folder.glob("??/*"):
            try:
                if not HASH.fullmatch(entry.name) or entry.parent.name != entry.name[:2]:
                    # Earlier versions had unfinished entries here.
                    if entry.name.startswith("new-"):
                        remove(entry)
                elif manifest := read(entry):
                    yield row(entry, entry.name, manifest)
            except Damaged as error:
                print(f"cache: {entry} is damaged ({error}); it is removed")
                remove(entry)
            except OSError:  # pruned by another run
                continue
