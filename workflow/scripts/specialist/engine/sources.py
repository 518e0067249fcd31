"""Sources that were replaced by older files, which Snakemake would take for unchanged.

It looks at the content of those files alone that are newer than what was made of them. But what
is moved, unpacked from an archive or copied with its times is often older, and so is a file that
was edited while a step read it.
"""

import functools
import os

from specialist.core.errors import UserError
from specialist.core.files import sha256
from specialist.engine import records


def notice_changes(folder="results"):
    """Give the current time to each source that is older than what was made of another content.

    Args:
        folder: where steps write; what their records name as input, and none as output, is a
            source.

    Raises:
        UserError: such a file belongs to somebody else.
    """
    made, content = records.by_output(folder), functools.cache(sha256)
    for output, record in made.items():
        for path in filter(os.path.isfile, record["inputs"].keys() - made.keys()):
            older = os.path.isfile(output) and os.path.getmtime(path) <= os.path.getmtime(output)
            if older and content(path) != record["inputs"][path]:
                _touch(path)


def _touch(path):
    try:
        os.utime(path)
    except OSError as error:
        raise UserError(
            f"{path} was replaced by an older file, which Snakemake would take for unchanged, and "
            f"cannot be given a new time ({error.strerror}); touch it, or copy it"
        ) from error
