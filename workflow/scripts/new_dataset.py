"""Makes a dataset and its configuration from a folder of documents.

    python workflow/scripts/new_dataset.py my-shop path/to/documents

Documents become data/my-shop/kb/. Mails, and all that is in a folder tickets/, become
data/my-shop/tickets/; FROM may also be a single mbox. Other parts of a dataset are
taken from the folder itself if it has them, and config/my-shop.yaml names them. No existing file is
overwritten.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from specialist.config.paths.parts import FOLDERS
from specialist.config.paths.uses import ADDS
from specialist.config.settings.fields import NAME
from specialist.core.errors import UserError
from specialist.data.lookups import lookups

PARTS = ("sft.jsonl", "tools.yaml", "database.sql", "tasks.jsonl", "preferences.jsonl")
SEARCH_ONLY = """\
# Measures only the search and trains no base. Remove the lines below when you have an sft.jsonl.
bases:
  small: {dataset: food-delivery}
adapters: null
quantizations: []
systems:
  random: {tools: false}
  oracle: null
  base-f16: null
  lora-f16: null
  lora-q4: null
  lora-q4-no-retrieval: null
headline: random
"""


def new(name, source, root):
    """Make data/NAME and config/NAME.yaml.

    Args:
        name: of the dataset.
        source: folder of documents, or an mbox.
        root: the project's folder.

    Returns:
        (parts that the dataset has, files that were left out)

    Raises:
        UserError: the name is not valid or taken, or there is neither a document nor a ticket.
    """
    folder, config = root / "data" / name, root / "config" / f"{name}.yaml"
    if not re.fullmatch(NAME, name):
        raise UserError(f"NAME: found {name!r}, expected letters, digits, dots, _ and -")
    for path in (folder, config):
        if path.exists():
            raise UserError(f"{path}: exists already; choose another name, or remove it")
    if source.is_file() and _is_mail(source):
        return _written(name, {folder / "tickets" / _mail_name(source.name): source}, {}, root), []
    if not source.is_dir():
        raise UserError(f"FROM: found {source}, expected a folder that exists, or an mbox")
    parts = [part for part in PARTS if (source / part).is_file()]
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(p.startswith(".") for p in _below(path, source))]
    rest = [path for path in files if "/".join(_below(path, source)) not in parts]
    targets = {}
    for path in rest:
        below = _below(path, source)
        if (part := _part(path, below)) is None:
            continue
        names = [*below[below[0] == part : -1], below[-1]]
        names[-1] = _mail_name(names[-1]) if part == "tickets" else names[-1]
        target = folder.joinpath(part, *names)
        if target in targets:
            raise UserError(f"{path}: {targets[target]} has the same name; rename one of them")
        targets[target] = path
    if not targets:
        kinds = ", ".join(f"*{suffix}" for suffix in (*FOLDERS["kb"], ".mbox", ".eml"))
        raise UserError(f"FROM: found no document in {source}, expected {kinds}")
    kept = set(targets.values())
    given = {folder / part: source / part for part in parts}
    return _written(name, targets, given, root), [path for path in rest if path not in kept]


def _part(path, below):
    """The part of a dataset that a file belongs to; None for a file of no use."""
    form = next((s.lower() for s in reversed(path.suffixes)), "")
    if _is_mail(path) or (below[0] == "tickets" and form in FOLDERS["tickets"]):
        return "tickets"
    return "kb" if form in FOLDERS["kb"] else None


def _is_mail(path):
    """Whether a file holds mails. Some programs give their mboxes no ending."""
    if path.suffix:
        return path.suffix.lower() in (".mbox", ".eml")
    with open(path, "rb") as file:
        return file.read(5) == b"From "


def _mail_name(name):
    return name if Path(name).suffix else f"{name}.mbox"


def _written(name, targets, given, root):
    """Write the dataset and its configuration.

    Args:
        name: of the dataset.
        targets: {file of kb/ or tickets/: what it is copied from}.
        given: the same for the other parts.
        root: the project's folder.

    Returns:
        parts that the dataset has.
    """
    folder, config = root / "data" / name, root / "config" / f"{name}.yaml"
    parts, tools = [target.name for target in given], None
    if "database.sql" in parts and "tools.yaml" not in parts:
        tools = lookups(given[folder / "database.sql"])
    for target, path in (targets | given).items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if tools:
        (folder / "tools.yaml").write_text(tools, encoding="utf-8")
    kb = folder / "kb"
    example = _example(sorted(t.relative_to(kb) for t in targets if t.is_relative_to(kb)))
    (folder / "tasks.example.jsonl").write_text(example, encoding="utf-8")
    folders = {f"{target.relative_to(folder).parts[0]}/" for target in targets}
    there = {*parts, *folders, *(["tools.yaml"] if tools else [])}
    (folder / "README.md").write_text(_readme(name, there), encoding="utf-8")
    rest_of_config = "" if "sft.jsonl" in parts else SEARCH_ONLY
    dataset = f"dataset: {name}\ndatasets:\n  {name}: {{path: data/{name}}}\n"
    config.write_text(f"# Use: make plan OPTIONS='--configfile config/{name}.yaml'\n"
                      f"{dataset}{rest_of_config}", encoding="utf-8")  # fmt: skip
    return there


def _below(path, folder):
    return path.relative_to(folder).parts


def _example(sources):
    """Rows for tasks.jsonl about the first articles."""
    rows = [
        {"id": f"question-{number}", "kind": "question", "message": "What a customer asks",
         "kb": [source.as_posix()], "expect": {"answer": ["a fact that the answer must hold"]}}
        for number, source in enumerate(sources[:3] or [Path("article.md")], 1)
    ]  # fmt: skip
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _readme(name, there):
    lines = [f"- [{'x' if part in there else ' '}] `{part}`: {use}" for part, use in ADDS.items()]
    return (
        f"# {name}\n\n" + "\n".join(lines) + "\n\n"
        "Write your questions after the pattern of `tasks.example.jsonl` into `tasks.jsonl`.\n"
        f"Then run `make plan OPTIONS='--configfile config/{name}.yaml'`; it says what is "
        "missing.\n"
        "docs/own-data.md explains every part, and docs/formats.md its format.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("source", metavar="from", type=Path, help="folder of documents, or an mbox")
    given = parser.parse_args()
    root = Path(__file__).parents[2]
    try:
        there, left_out = new(given.name, given.source, root)
    except UserError as error:
        sys.exit(f"Error: {error}")
    print(f"data/{given.name} has {', '.join(sorted(there))}; its README.md says what is missing")
    for path in left_out:
        print(f"  left out: {path}")
    print(f"Next: make plan OPTIONS='--configfile config/{given.name}.yaml'")


if __name__ == "__main__":
    main()
