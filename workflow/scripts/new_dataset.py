"""Makes a dataset and its configuration from a folder of documents.

    python workflow/scripts/new_dataset.py my-shop path/to/documents

Documents become data/my-shop/kb/. Other parts of a dataset are taken from the folder itself if it
has them, and config/my-shop.yaml names them. No existing file is overwritten.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from specialist.config.paths.datasets import FOLDERS
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
        source: folder of documents.
        root: the project's folder.

    Returns:
        (parts that the dataset has, files that were left out)

    Raises:
        UserError: the name is not valid or taken, or the folder does not hold a document.
    """
    folder, config = root / "data" / name, root / "config" / f"{name}.yaml"
    if not re.fullmatch(NAME, name):
        raise UserError(f"NAME: found {name!r}, expected letters, digits, dots, _ and -")
    for path in (folder, config):
        if path.exists():
            raise UserError(f"{path}: exists already; choose another name, or remove it")
    if not source.is_dir():
        raise UserError(f"FROM: found {source}, expected a folder that exists")
    parts = [part for part in PARTS if (source / part).is_file()]
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(p.startswith(".") for p in _below(path, source))]
    rest = [path for path in files if "/".join(_below(path, source)) not in parts]
    kept = [path for path in rest if path.suffix.lower() in FOLDERS["kb"]]
    if not kept:
        kinds = ", ".join(f"*{suffix}" for suffix in FOLDERS["kb"])
        raise UserError(f"FROM: found no document in {source}, expected {kinds}")
    tools = None
    if "database.sql" in parts and "tools.yaml" not in parts:
        tools = lookups(source / "database.sql")
    targets = {}
    for path in kept:
        below = _below(path, source)
        target = folder.joinpath("kb", *below[below[0] == "kb" :])
        if target in targets:
            raise UserError(f"{path}: {targets[target]} has the same name; rename one of them")
        targets[target] = path
    for target, path in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for part in parts:
        shutil.copyfile(source / part, folder / part)
    if tools:
        (folder / "tools.yaml").write_text(tools, encoding="utf-8")
    example = _example(sorted(target.relative_to(folder / "kb") for target in targets))
    (folder / "tasks.example.jsonl").write_text(example, encoding="utf-8")
    there = {*parts, "kb/", *(["tools.yaml"] if tools else [])}
    (folder / "README.md").write_text(_readme(name, there), encoding="utf-8")
    rest_of_config = "" if "sft.jsonl" in parts else SEARCH_ONLY
    dataset = f"dataset: {name}\ndatasets:\n  {name}: {{path: data/{name}}}\n"
    config.write_text(f"# Use: make plan OPTIONS='--configfile config/{name}.yaml'\n"
                      f"{dataset}{rest_of_config}", encoding="utf-8")  # fmt: skip
    return there, [path for path in rest if path not in kept]


def _below(path, folder):
    return path.relative_to(folder).parts


def _example(sources):
    """Rows for tasks.jsonl about the first articles."""
    rows = [
        {"id": f"question-{number}", "kind": "question", "message": "What a customer asks",
         "kb": [source.as_posix()], "expect": {"answer": ["a fact that the answer must hold"]}}
        for number, source in enumerate(sources[:3], 1)
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
    parser.add_argument("source", metavar="from", type=Path, help="folder of documents")
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
