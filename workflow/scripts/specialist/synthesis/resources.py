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
PARTS = (
    "look_up", "found", "missing", "declines", "act", "told", "confirm", "yes", "openers",
)  # fmt: skip
# Only for conversations.
SPOKEN = ("ask", "ask_thought", "asked", "tells", "confirms", "thanks", "goodbye", "polite")
REPLIES = {
    "type": "object",
    "additionalProperties": False,
    "required": list(PARTS),
    "properties": dict.fromkeys([*PARTS, *SPOKEN], TEXTS),
}


class Prompts:
    """The prompts to the teacher, which are Jinja templates, and the styles.

    `prompts["question"]` is a function from variables to the prompt of question.jinja.

    Args:
        paths: files of the folder `prompts`.

    Attributes:
        styles: list of {"name", "how"} with "held_out" for those that write tasks alone; empty
            without styles.yaml.
    """

    def __init__(self, paths):
        files = [Path(path) for path in paths]
        styles = next((path for path in files if path.name == "styles.yaml"), None)
        self.styles = _checked(styles, STYLES) if styles else []
        if styles and all(style.get("held_out") for style in self.styles):
            raise UserError(
                f"{styles}: each style is held out; remove `held_out` from a style that training "
                "rows may have"
            )
        self._templates = {
            path.stem: Sandbox(strict=True).compiled(path.read_text("utf-8"), str(path))
            for path in files
            if path.suffix == ".jinja"
        }

    def __getitem__(self, name):
        return self._templates[name]


def read_replies(paths, conversations=False):
    """The texts of replies.yaml, one of the `paths`: {part: list of str}.

    Args:
        conversations: whether it must have the texts of conversations too.
    """
    parts = [*PARTS, *SPOKEN] if conversations else list(PARTS)
    path = next(p for p in map(Path, paths) if p.name == "replies.yaml")
    return _checked(path, {**REPLIES, "required": parts})


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
