"""The texts in a user's folder, nested folders included. Anything else is refused."""

import os
import stat
import unicodedata
from pathlib import Path

from specialist.core.errors import UserError


def texts(folder, suffixes):
    """Paths of the text files in a folder and in the folders below it, sorted.

    Hidden files and folders, which begin with a dot, are left out: editors, version control and
    note apps keep their own files there.

    Args:
        folder: may be missing.
        suffixes: those of the texts, in lower case; a file may write them in upper case.

    Raises:
        UserError: there is something else in the folder, a link that leads out of the dataset,
            or a name that cannot be used.
    """
    folder, found = Path(folder), []
    dataset = folder.parent.resolve()
    _check_link(folder, dataset)
    # Sort each folder: the first mistake is then the same in every run.
    for root, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            _check_folder(Path(root, name), suffixes)
        for name in sorted(files):
            if not name.startswith("."):
                found.append(_checked(Path(root, name), suffixes, dataset))
    return sorted(found)


def _unreadable(error):
    if not isinstance(error, FileNotFoundError):
        raise UserError(f"{error.filename}: {error.strerror}; make the folder readable")


def _check_folder(path, suffixes):
    _check_name(path)
    if path.is_symlink():
        raise UserError(f"{path}: this is a link to a folder; copy the folder here instead")
    if path.suffix.lower() in suffixes:
        raise UserError(
            f"{path}: this is a folder with the name of a text; rename it without {path.suffix}"
        )


def _checked(path, suffixes, dataset):
    _check_name(path)
    if path.suffix.lower() not in suffixes:
        raise UserError(
            f"{path}: expected one of {', '.join(f'*{suffix}' for suffix in suffixes)}; convert "
            "the file, or move it out of the folder"
        )
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; remove it or make it readable") from None
    _check_link(path, dataset)
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: found {_kind(mode)}, expected a file; remove it")
    return path


def _check_link(path, dataset):
    """Raise a UserError if a link leads out of the dataset."""
    if path.is_symlink() and not path.resolve().is_relative_to(dataset):
        raise UserError(
            f"{path}: this link leads out of the dataset, to {path.resolve()}; copy that file "
            "here instead"
        )


def _kind(mode):
    kinds = {stat.S_ISFIFO: "a named pipe", stat.S_ISSOCK: "a socket", stat.S_ISDIR: "a folder"}
    return next((kind for test, kind in kinds.items() if test(mode)), "a device")


def _check_name(path):
    """Raise a UserError if a name cannot be an input's name or cannot be written to JSON."""
    if set("{}").intersection(path.name):
        raise UserError(
            f"{path}: the name holds a brace, which Snakemake reads as a wildcard; rename it"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path.name):
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UserError(f"{shown!r}: the name is not UTF-8 or holds a control character; rename it")
