"""Where a base is taken from, and whether its files can be read."""

import json

from specialist.core.errors import UserError
from specialist.core.model_files import CONFIG, TOKENIZER, TOKENIZER_CONFIG


def locate(place, source, hub, revision, patterns):
    """The folder that a base is taken from.

    Args:
        place: the base's entry in the configuration, for messages.
        source: files of a local folder, or an empty list for a base from the hub.
        hub, revision: its id and commit on the hub, or None.
        patterns: names of the files wanted from there, with wildcards.

    Raises:
        UserError: the hub does not have it.
    """
    from specialist.core.hub import download

    return download(place, hub, revision, patterns) if hub else source[0].parent


def check_files(place, folder):
    """Raise UserError unless a folder holds a configuration and a tokenizer."""
    remedies = {
        CONFIG: "give the folder of a model in the form of Transformers",
        TOKENIZER: "write one with AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        TOKENIZER_CONFIG: "it comes with tokenizer.json; take it from where the model is from",
    }
    for name, remedy in remedies.items():
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{place}: {folder} has no {name}; {remedy}") from None
        except ValueError as error:
            raise UserError(f"{place}: {folder / name} is not JSON: {error}; {remedy}") from None
