"""Files: their hashes, copies, and writing them to the disk."""

import fcntl
import hashlib
import os
import shutil

FICLONE = 0x40049409  # of linux/fs.h: let two files share their blocks until one is written to


def sha256(path):
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path):
    """Flush a file or folder to the disk, so it survives a crash."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def copy(source, target):
    """Copy a file's content.

    The copy shares its blocks with the source where the file system can (Btrfs, XFS), so that it
    takes no space. It is never a hard link: a change of one never changes the other.
    """
    try:
        with open(source, "rb") as old, open(target, "wb") as new:
            fcntl.ioctl(new, FICLONE, old.fileno())
    except OSError:
        shutil.copyfile(source, target)


def write_whole(path, text):
    """Write a text file completely and to the disk, or not at all.

    The text is written to `unfinished(path)` first.
    """
    made = unfinished(path)
    with open(made, "w", encoding="utf-8") as file:
        file.write(text)
    flush(made)
    os.replace(made, path)
    flush(os.path.dirname(path) or os.curdir)


def unfinished(path):
    """The name of a file while it is written."""
    return f"{path}.unfinished"
