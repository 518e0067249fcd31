"""Renders a page of results from a template, with the style and the charts of all pages."""

import base64
import hashlib

from specialist.report.numbers import duration, number, percent


def render(template, parts, values, filters=None):
    """The HTML of a page.

    Args:
        template: Jinja file of the page.
        parts: other files that it includes or imports by their names.
        values: {name: value} that the template sees.
        filters: {name: function} for the template beside those of `specialist.report.numbers`.
    """
    from jinja2 import DictLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=True,
        loader=DictLoader({path.name: path.read_text(encoding="utf-8") for path in parts}),
    )
    environment.filters |= {
        "number": number, "percent": percent, "duration": duration,
        "words": lambda text: text.replace("_", " "), **(filters or {}),
    }  # fmt: skip
    return environment.from_string(template.read_text(encoding="utf-8")).render(values)


def script_hash(script):
    """The source of a script for a Content-Security-Policy."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
