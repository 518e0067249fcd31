"""JSON schemas that users write for their tools, checked in bounded time.

Python's regular expressions can take years for a short text, for example `(a+)+$` for thirty
letters. RE2 takes time linear in the text. It has no look-around and no back-references.
"""

import functools

import jsonschema
import re2
from jsonschema import validators


@functools.lru_cache(1000)
def _compiled(pattern):
    options = re2.Options()
    options.log_errors = False  # RE2 writes to stderr by itself
    return re2.compile(pattern, options)


def _pattern(validator, pattern, value, schema):
    if not validator.is_type(value, "string"):
        return
    # RE2 reads UTF-8, which has no halves of pairs.
    if not _compiled(pattern).search(value.encode("utf-8", "replace").decode()):
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
            try:
                _compiled(value)
            except (re2.error, UnicodeError) as error:
                why = error.args[0].decode() if isinstance(error, re2.error) else str(error)
                text = f"found {value!r}, expected a regular expression that RE2 reads ({why}); "
                yield (key,), f"{text}write it without look-around and back-references"
        elif key == "patternProperties" and isinstance(value, dict):
            text = "found patternProperties, but the agent writes only the names in `properties`"
            yield (key,), f"{text}; remove it"
        elif isinstance(value, (dict, list)):
            for path, text in pattern_problems(value):
                yield (key, *path), text
