"""A JSON schema and the errors of a value, in words for users."""

import difflib
import json


def describe(part):
    """What a part of the schema allows, in words."""
    if "anyOf" in part:
        return " or ".join(map(describe, part["anyOf"]))
    if "const" in part:
        return part["const"] if isinstance(part["const"], str) else json.dumps(part["const"])
    if "enum" in part:
        return "one of " + ", ".join(part["enum"])
    kind = {
        "string": "text",
        "boolean": "true or false",
        "null": "null",
        "integer": "whole number",
        "number": "number",
        "array": "list",
        "object": "group of keys" if "properties" in part else "entries by name",
    }[part["type"]]
    bounds = {
        "minimum": ", at least {}",
        "exclusiveMinimum": ", above {}",
        "maximum": ", at most {}",
        "exclusiveMaximum": ", below {}",
        "minLength": ", at least {} character",
        "maxLength": ", at most {} characters",
        "minItems": ", at least {}",
        "minProperties": ", at least {}",
        "pattern": " of the form `{}`",
    }
    limits = "".join(text.format(part[key]) for key, text in bounds.items() if key in part)
    return kind + limits + (f", each {describe(part['items'])}" if "items" in part else "")


def near(name, names):
    """The nearest of some names as a question, or nothing."""
    found = difflib.get_close_matches(str(name), list(map(str, names)), 1, cutoff=0.4)
    return f"; did you mean {found[0]}?" if found else ""


def explain(error):
    """Yield (path, what is wrong) for an error of jsonschema."""
    path, found, part = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "additionalProperties":
        known = part["properties"]
        for key in found:
            if key not in known:
                yield (
                    (*path, key),
                    f"unknown key, expected one of {', '.join(known)}{near(key, known)}",
                )
    elif error.validator == "required":
        for key in part["required"]:
            if key not in found:
                yield (*path, key), f"is missing, expected {describe(part['properties'][key])}"
    elif "propertyNames" in error.absolute_schema_path:
        quote = "" if isinstance(found, str) else "; put the name in quotes"
        hint = near(found, part.get("enum", ())) + quote
        yield (*path, found), f"found this as a name, expected {describe(part)}{hint}"
    elif deeper := [item for item in error.context or () if item.path]:
        for item in deeper:
            yield from explain(item)
    elif error.validator == "uniqueItems":
        yield path, f"found {json.dumps(found)}, expected each item once"
    else:
        choices = [*part.get("enum", ()), *(item.get("const") for item in part.get("anyOf", ()))]
        yield (
            path,
            f"found {json.dumps(found, default=str)}, expected {describe(part)}"
            f"{near(found, filter(None, choices))}{_number_hint(found, part)}",
        )


def _number_hint(found, part):
    # YAML 1.1 takes 1e-3 for text.
    if isinstance(found, str) and part.get("type") in ("integer", "number"):
        try:
            number = f"{float(found):g}"
            return f"; this is text, write {number} without quotes, or in a file if --config has it"
        except ValueError:
            pass
    return ""
