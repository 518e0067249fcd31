"""What the teacher is asked, and what the agent says: data files that people edit."""

from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.json_schema import Validator
from specialist.core.sandbox import Sandbox
from specialist.core.schema_errors import explain

TEXTS = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"\S"}}
STYLES = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "how"],
        "properties": {
            "name": {"type": "string", "pattern": r"\S"},
            "how": {"type": "string", "pattern": r"\S"},
            "held_out": {"type": "boolean"},
        },
    },
}
PARTS = ("look_up", "found", "missing", "declines", "openers")
REPLIES = {
    "type": "object",
    "additionalProperties": False,
    "required": list(PARTS),
    "properties": dict.fromkeys(PARTS, TEXTS),
}


class Prompts:
    """The prompts to the teacher.

    Args:
        paths: the files of the folder `prompts`.

    Attributes:
        styles: list of {"name", "how"} with "held_out" for those that write tasks alone.
        question, unanswerable, answer: functions from variables to a prompt.
    """

    def __init__(self, paths):
        files = {Path(path).name: path for path in paths}
        self.styles = _checked(files["styles.yaml"], STYLES)
        if all(style.get("held_out") for style in self.styles):
            raise UserError(
                f"{files['styles.yaml']}: each style is held out; remove `held_out` from a style "
                "that training rows may have"
            )
        self.question, self.unanswerable, self.answer = (
            Sandbox(strict=True).compiled(Path(files[name]).read_text("utf-8"), str(files[name]))
            for name in ("question.jinja", "unanswerable.jinja", "answer.jinja")
        )


def read_replies(paths):
    """The texts of replies.yaml, one of the `paths`: {part: list of str}."""
    return _checked(next(p for p in map(Path, paths) if p.name == "replies.yaml"), REPLIES)


def _checked(path, schema):
    """The content of a YAML file.

    Raises:
        UserError: it is no YAML, or does not fit its schema.
    """
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is not YAML: {error}") from None
    lines = sorted(
        f"{path}: {'.'.join(map(str, where))}: {text}"
        for error in Validator(schema).iter_errors(found)
        for where, text in explain(error)
    )
    if lines:
        raise UserError("\n".join(lines))
    return found
