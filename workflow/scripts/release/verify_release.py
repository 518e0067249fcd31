"""Verifies a release: hashes each of its files and compares with SHA256SUMS.

    python verify.py [FOLDER]

Names each file that is missing, altered or new, and fails then. Needs nothing but Python.
"""

import hashlib
import sys
from pathlib import Path

SUMS = "SHA256SUMS"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files(folder):
    """Paths of a release's files, relative to it and sorted.

    Hidden ones, such as an environment in .venv, and Python's caches are none of them.
    """
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in found
        if path.name != SUMS and path.parts[0][0] != "." and "__pycache__" not in path.parts
    )


def problems(folder):
    """What is wrong with a release, as a list of texts."""
    if not (folder / SUMS).is_file():
        return [f"{SUMS}: missing; this is no release"]
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = files(folder)
    found = [f"{name}: missing" for name in listed if name not in there]
    for name in there:
        if name not in listed:
            found.append(f"{name}: not in {SUMS}")
        elif (digest := sha256(folder / name)) != listed[name]:
            found.append(f"{name}: altered: SHA-256 {digest[:12]}, expected {listed[name][:12]}")
    return found


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    folder = folder if folder.is_dir() else folder.parent
    if found := problems(folder):
        remedy = "Remove what was added, or take the release anew from where it came from."
        print(*found, remedy, sep="\n")
        return 1
    print(f"{len(files(folder))} files, each as it was released")
    return 0


if __name__ == "__main__":
    sys.exit(main())
