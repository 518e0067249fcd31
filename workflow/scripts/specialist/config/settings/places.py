"""Mistakes that several checks look for, as pairs of a place and a text."""

from specialist.core.schema_errors import near

MOST = 20  # names that a message lists


def unknown(place, name, names):
    """Yield a mistake if a setting names an entry that does not exist.

    Args:
        place: keys that lead to the setting.
        name: its value; None is no mistake.
        names: those that exist, as a dict or a list.
    """
    if name is not None and name not in names:
        listed = [*map(str, names)]
        allowed = ", ".join(listed[:MOST]) or "nothing, as there is none"
        more = f" and {len(listed) - MOST} more" if len(listed) > MOST else ""
        yield place, f"found {name}, expected one of {allowed}{more}{near(name, names)}"


def missing(place, folder):
    """Yield a mistake if a setting names a folder that does not exist."""
    if not folder.is_dir():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        hint = near(folder, [path for path in beside if path.is_dir()])
        yield place, f"found {folder}, expected a folder that exists{hint}"
