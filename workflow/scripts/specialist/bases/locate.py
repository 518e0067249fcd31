"""Location of a base, and whether its files can be read."""

import json
import stat
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.model_config import check_sizes
from specialist.core.model_files import CONFIG, TOKENIZER, TOKENIZER_CONFIG

REMEDIES = {
    CONFIG: "name the folder of a model in the Transformers format",
    TOKENIZER: "write one with AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
    TOKENIZER_CONFIG: "it belongs to tokenizer.json; get it from the source of the model",
}


def locate(place, source, hub, revision, patterns):
    """The folder of a base's source.

    Args:
        place: the base's entry in the configuration, for messages.
        source: files of a local folder, or an empty list for a base from the hub.
        hub, revision: its id and commit on the hub, or None.
        patterns: names of the files wanted from there, with wildcards.

    Raises:
        UserError: the hub does not have it.
    """
    from specialist.core.hub import download

    if hub:
        return download(place, hub, revision, patterns)
    # Some files lie in folders of this one; the least deep do not.
    return min((path.parent for path in map(Path, source)), key=lambda path: len(path.parts))


def file_of(place, folder, name):
    """The path of a file in a base's folder, or None if there is no such file.

    Args:
        name: of the file, as the folder's owner wrote it.

    Raises:
        UserError: it is not a plain file (a pipe would never end), or it is outside the folder:
            a file that a downloaded folder points to would be read and released.
    """
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{place}: found {name}, expected a file in {folder}")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise UserError(f"{place}: {path} links to a file that is missing") from None
        return None
    except OSError as error:  # a link to itself, a folder that nobody may read
        raise UserError(f"{place}: {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise UserError(f"{place}: {path} is a folder, a pipe or a device, expected a file")
    # The hub's cache links from snapshots/COMMIT/ to blobs/ beside it.
    folder = folder.absolute()
    home = folder.parents[1] if folder.parent.name == "snapshots" else folder
    if not path.resolve().is_relative_to(home.resolve()):
        raise UserError(
            f"{place}: {path} links to {path.resolve()}, expected a file in {home}; copy the "
            "file there, or name the folder that contains the files themselves"
        )
    return path


def check_files(place, folder):
    """Check that a folder holds the configuration and the tokenizer of a model.

    Returns:
        dict of its config.json.

    Raises:
        UserError: a file is missing, is not a JSON object, or requires the model's own code.
    """
    config = check_config_file(place, folder)
    _read(place, folder, TOKENIZER)
    check_code(place, TOKENIZER_CONFIG, _read(place, folder, TOKENIZER_CONFIG))
    return config


def check_config_file(place, folder):
    """The same for its config.json alone."""
    config = _read(place, folder, CONFIG)
    check_sizes(config, f"{place}: {CONFIG}")
    check_code(place, CONFIG, config)
    return config


def _read(place, folder, name):
    """The object in a JSON file of a folder."""
    remedy = REMEDIES[name]
    if not (path := file_of(place, folder, name)):
        raise UserError(f"{place}: {folder} has no {name}; {remedy}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: {path} is not JSON: {error}; {remedy}") from None
    if not isinstance(found, dict):
        raise UserError(f"{place}: {path}: expected a JSON object, {{...}}; {remedy}")
    return found


def check_code(place, name, settings):
    """Refuse a model that needs its own code; this workflow never runs it.

    Some models still name their own code, although their classes are now part of Transformers.
    For these, the classes of Transformers are used.

    Args:
        name: of the file that `settings` are from.

    Raises:
        UserError: Transformers has no class of that name.
    """
    import transformers

    if not (named := settings.get("auto_map")):
        return
    values = named.values() if isinstance(named, dict) else [named]
    texts = [x for value in values for x in (value if isinstance(value, list) else [value]) if x]
    classes = [str(text).rpartition(".")[2] for text in texts]
    if missing := [c for c in classes if not (c.isidentifier() and hasattr(transformers, c))]:
        raise UserError(
            f"{place}: {name}: auto_map: found {', '.join(missing)}, code in the model's own "
            "files, which is never run; expected classes of Transformers. Use a model of an "
            "architecture that is part of Transformers"
        )
    print(f"{name}: auto_map is ignored: Transformers has {', '.join(classes)} itself")
