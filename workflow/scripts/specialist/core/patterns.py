"""Regular expressions that users write, searched in time linear in the text.

Python's own engine takes years for some short patterns, for example `(a+)+$` on thirty letters.
RE2 does not. It has no look-around and no back-references; `\\w`, `\\d` and `\\b` mean ASCII.
"""

import functools

import re2


@functools.lru_cache(1000)
def _compiled(pattern, case=False):
    options = re2.Options()
    options.log_errors = False  # RE2 writes to stderr by itself
    options.case_sensitive = case
    return re2.compile(pattern, options)


def found(pattern, text, case=False):
    """Whether a pattern matches anywhere in a text; `case` distinguishes upper and lower case."""
    # RE2 reads UTF-8, which has no halves of surrogate pairs.
    return _compiled(pattern, case).search(text.encode("utf-8", "replace").decode()) is not None


def problem(pattern):
    """Why a pattern cannot be used, with a way to fix it; None if it can."""
    try:
        _compiled(pattern)
    except (re2.error, UnicodeError) as error:
        why = error.args[0].decode() if isinstance(error, re2.error) else str(error)
        return (
            f"found {pattern!r}, expected a regular expression that RE2 reads ({why}); "
            "write it without look-around and back-references"
        )
    return None
