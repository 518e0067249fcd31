"""What an adapter costs in general language, and general text to train it on."""

from pathlib import Path

from pydantic import Field

from specialist.config.settings.fields import Settings, number

FOLDER = "resources/general-english"
HELD_OUT, TRAIN = f"{FOLDER}/held_out.txt", f"{FOLDER}/train.txt"
PLAIN = (".txt", ".md")


class Forgetting(Settings):
    text: str | None = Field(
        None,
        description="Plain text in UTF-8 that belongs to no dataset: a `.txt` or `.md` file. The "
        "headline's base and adapter are compared on it in bits per byte. Default for an imported "
        f"base: `{HELD_OUT}`. A base from scratch knows no general language; it is measured only "
        "if this key is set.",
    )
    kilobytes: number(ge=0) = Field(
        40,
        description="Amount of the text that is read, in 1,000 bytes, evenly from all its parts; 0 "
        "turns the measure off.",
    )


def check(config):
    """Yield (place, mistake) for the files of general text in a configuration."""
    text = config.get("forgetting", {}).get("text")
    yield from check_text(("forgetting", "text"), text)


def check_text(place, text):
    """Yield a mistake if a setting does not name a file of plain text; None is no mistake."""
    if text is None:
        return
    if not Path(text).is_file():
        yield place, f"found {text}, expected a file that exists"
    elif Path(text).suffix.lower() not in PLAIN:
        yield place, f"found {text}, expected plain text in a file with .txt or .md"
