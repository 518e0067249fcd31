"""JSON schemas that users write for their tools, checked in bounded time."""

import jsonschema
from jsonschema import validators

from specialist.core import patterns


def _pattern(validator, pattern, value, schema):
    if validator.is_type(value, "string") and not patterns.found(pattern, value, case=True):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


Validator = validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})
Validator.__doc__ = "A Draft202012Validator whose `pattern` takes linear time."


def check_schema(schema):
    """Raise a jsonschema.SchemaError if a value is no JSON schema; patterns are not looked at."""
    Validator.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))


def pattern_problems(part):
    """Yield (path, text) for regular expressions in a schema that cannot be checked.

    Args:
        part: a JSON schema, or a value in one.
    """
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key == "pattern" and isinstance(value, str):
            if text := patterns.problem(value):
                yield (key,), text
        elif key == "patternProperties" and isinstance(value, dict):
            text = "found patternProperties, but the agent writes only the names in `properties`"
            yield (key,), f"{text}; remove it"
        elif isinstance(value, (dict, list)):
            for path, text in pattern_problems(value):
                yield (key, *path), text
