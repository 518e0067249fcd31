"""Turns pydantic's errors about a configuration into messages for users."""

import json

from specialist.config.schema import part_at, schema
from specialist.core.schema_errors import describe, near

# Errors that leave a valid value, or none, for the following checks.
KEPT = {"missing", "unique", "too_short"}


def explain(error, above=()):
    """Put a ValidationError into words.

    Args:
        error: of pydantic.
        above: keys that lead to the part of the configuration that was validated.

    Returns:
        (set of (place, text); list of the places whose values are wrong). A place is a tuple of
        keys.
    """
    found = {}
    for item in error.errors(include_url=False):
        place, part = part_at(schema(), (*above, *item["loc"]))
        found.setdefault(place, []).append((item, part))
    mistakes, wrong = set(), []
    for place, items in found.items():
        # Report the wrong item of a list, not the list itself.
        if any(other[: len(place)] == place and other != place for other in found):
            continue
        for item, part in items:
            mistakes.add((place, _text(item, part, place)))
        if not any(item["type"] in KEPT for item, _ in items):
            wrong.append(place)
    return mistakes, wrong


def _text(item, part, place):
    kind, value = item["type"], item["input"]
    if item["loc"][-1] == "[key]":
        names = part.get("propertyNames", {})
        quote = "" if isinstance(value, str) else "; put the name in quotes"
        return (
            f"found this as a name, expected {describe(names)}{near(value, names.get('enum', ()))}"
            f"{quote}"
        )
    if kind == "extra_forbidden":
        known = part["properties"]
        return f"unknown key, expected one of {', '.join(known)}{near(place[-1], known)}"
    if kind == "missing":
        return f"is missing, expected {describe(part)}"
    shown = json.dumps(value, default=str)
    if kind == "unique":
        return f"found {shown}, expected each item once"
    choices = [*part.get("enum", ()), *(each.get("const") for each in part.get("anyOf", ()))]
    finite = ", and finite" if kind == "finite_number" else ""
    hint = near(value, filter(None, choices)) + _number_hint(value, part)
    return f"found {shown}, expected {describe(part)}{finite}{hint}"


def _number_hint(value, part):
    # YAML 1.1 takes 1e-3 for text.
    if isinstance(value, str) and part.get("type") in ("integer", "number"):
        try:
            number = f"{float(value):g}"
            return f"; this is text, write {number} without quotes, or in a file if --config has it"
        except ValueError:
            pass
    return ""
