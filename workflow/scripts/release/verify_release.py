"""Verifies a release: hashes each of its files and compares them with SHA256SUMS.

    python verify.py [FOLDER]

Names everything in the folder that is missing, altered or added, and then exits with status 1.
It needs only Python, follows no symbolic link, opens only regular files, and imports nothing from
its folder.
"""

import sys

if __name__ == "__main__":
    # A file in the folder may have the name of one of Python's own modules, such as hashlib.
    if not sys.flags.safe_path:
        del sys.path[0]
    sys.dont_write_bytecode = True
    import os

    # PYTHONPATH and an environment in the folder lead into it too.
    here = os.path.join(os.path.dirname(os.path.realpath(__file__)), "")
    sys.path[:] = [
        path for path in sys.path if not os.path.join(os.path.realpath(path), "").startswith(here)
    ]

import hashlib
import os
import re
import stat
from pathlib import Path

SUMS = "SHA256SUMS"
STAMP = ".snakemake_timestamp"  # Snakemake puts this file, which is empty, in a folder that it made
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def sha256(path):
    """SHA-256 of a regular file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read, or is another kind of file by now.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        return hashlib.file_digest(file, "sha256").hexdigest()


def walk(folder, known=None, below=""):
    """Yield (path relative to the release, kind of entry) of everything in a folder, sorted.

    Args:
        folder: root of the release.
        known: paths of the folders to look into; None looks into all.
        below: the folder to start at, relative to the root, with "/" at its end.

    Yields:
        The kind is "file", "folder" (one that is not looked into), or what else it is.
    """
    with os.scandir(Path(folder, below)) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = below + entry.name
        if entry.is_symlink() or getattr(entry, "is_junction", bool)():
            yield path, "symbolic link"
        elif entry.is_dir(follow_symlinks=False):
            if known is None or path in known:
                yield from walk(folder, known, f"{path}/")
            else:
                yield path, "folder"
        elif entry.is_file(follow_symlinks=False):
            yield path, "file"
        else:
            yield path, "special file"


def read_sums(path):
    """({path: digest}, problems) of a SHA256SUMS, which `sha256sum --check` reads too."""
    listed, found = {}, []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return {}, [f"{SUMS}: not UTF-8 text: {error}"]
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        match = LINE.fullmatch(line)
        parts = match[2].split("/") if match else []
        if not match or not {"", ".", ".."}.isdisjoint(parts) or match[2] in listed:
            expected = "a SHA-256, two blanks and the path of a file in the release, each once"
            found.append(f"{SUMS}:{number}: found {line[:200]!r}, expected {expected}")
        else:
            listed[match[2]] = match[1]
    return listed, found


def problems(folder):
    """What is wrong with a release, as a list of texts."""
    sums = folder / SUMS
    if not sums.is_file() or sums.is_symlink():
        return [f"{SUMS}: missing, or not a regular file; this is not a release"]
    listed, found = read_sums(sums)
    folders = {parent.as_posix() for name in listed for parent in Path(name).parents}
    missing = dict.fromkeys(listed)
    for name, kind in walk(folder, folders):
        wanted = listed.get(name)
        if wanted:
            del missing[name]
        if kind == "file" and wanted:
            found += _altered(folder, name, wanted)
        elif kind not in ("file", "folder"):
            found.append(f"{name}: a {kind}; a release holds regular files and folders only")
        elif name != SUMS and not _is_stamp(folder, name, kind):
            found.append(f"{name}{'/' * (kind == 'folder')}: not in {SUMS}{_hint(folder, name)}")
    return found + [f"{name}: missing" for name in missing]


def _altered(folder, name, wanted):
    try:
        digest = sha256(folder / name)
    except OSError as error:
        return [f"{name}: cannot be read: {error}"]
    if digest == wanted:
        return []
    return [f"{name}: altered: SHA-256 {digest[:12]}, expected {wanted[:12]}"]


def _is_stamp(folder, name, kind):
    return name == STAMP and kind == "file" and not os.lstat(folder / name).st_size


def _hint(folder, name):
    """A harmless explanation for an added entry, in words."""
    if os.path.basename(name) == "__pycache__":
        return "; Python runs these compiled modules instead of the released ones: delete it"
    if os.path.lexists(folder / name / "pyvenv.cfg"):
        return "; make an environment outside the release"
    return ""


def shown(text):
    """A text with non-printable characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main():
    sys.stdout.reconfigure(errors="backslashreplace")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(__file__)).resolve()
    try:
        found = problems(folder)
    except OSError as error:
        found = [f"cannot be read: {error}"]
    if found:
        remedy = "Remove what was added, or copy the release again from its source."
        print(*map(shown, found), remedy, sep="\n")
        return 1
    count = len(read_sums(folder / SUMS)[0])
    print(f"{count} files, each as it was released")
    return 0


if __name__ == "__main__":
    sys.exit(main())
