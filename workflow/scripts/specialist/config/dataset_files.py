"""The files of a dataset: what is simulated, fetched, or lies in the user's folder."""

from pathlib import Path

from specialist.core.errors import UserError

# What each part of a simulated dataset is drawn from; it is made anew when one of these changes.
SPEC = {
    "corpus": ["world.yaml", "sayings/train.yaml", "corpus.yaml", "labels.yaml", "tools.yaml"],
    "sft": ["world.yaml", "sayings/train.yaml", "procedures.yaml", "kinds.yaml", "tools.yaml"],
    "kb": ["world.yaml", "sayings/{sayings}.yaml", "figures.yaml"],
    "tasks": [
        "world.yaml", "sayings/{sayings}.yaml", "figures.yaml", "procedures.yaml", "kinds.yaml",
        "tools.yaml",
    ],
}  # fmt: skip
NEEDS_DATABASE = {"sft", "tasks"}
TRAINING_FILES = ("sft.jsonl", "sft.csv", "sft.parquet")


class DatasetFiles:
    """Answers the rules' questions about datasets.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
    """

    def __init__(self, config, results="results"):
        self.config, self.results = config, results

    def spec(self, dataset, part):
        """Files of a dataset's spec that one of its parts is drawn from."""
        entry = self.config["datasets"][dataset]
        folder = Path(entry["simulate"])
        names = SPEC[part] + (["database.sql"] if part in NEEDS_DATABASE else [])
        return [
            *(str(folder / name.format(sayings=entry["sayings"])) for name in names),
            *self._articles(folder / "handbook"),
        ]

    def part(self, dataset, name):
        """File or files of a dataset: what is simulated or fetched, or what the user's folder has.

        Args:
            name: corpus, sft, kb, tools, database or tasks; of a user's folder also preferences.

        Returns:
            list of paths; empty where there is no such part.

        Raises:
            UserError: a folder of texts holds a file of another kind.
        """
        entry = self.config["datasets"][dataset]
        if "simulate" in entry:
            folder = f"{self.results}/{dataset}/data"
            pages = [
                Path(page).name for page in self._articles(Path(entry["simulate"]) / "handbook")
            ]
            return {
                "corpus": [f"{folder}/corpus/corpus.jsonl"],
                "sft": [f"{folder}/sft.jsonl"],
                "kb": [f"{folder}/kb/{page}" for page in pages],
                "tools": [f"{folder}/tools.yaml"],
                "database": [f"{folder}/database.sql"],
                "tasks": [f"{folder}/tasks.jsonl"],
            }[name]
        if "corpus" in entry:
            return [f"{self.results}/{dataset}/data/corpus.txt"] if name == "corpus" else []
        folder = Path(entry["path"])
        patterns = {
            "corpus": ("corpus/*.txt", "corpus/*.md", "corpus/*.jsonl"),
            "sft": TRAINING_FILES,
            "preferences": ("preferences.jsonl",),
            "kb": ("kb/*.md", "kb/*.txt"),
            "tools": ("tools.yaml",),
            "database": ("database.sql",),
            "tasks": ("tasks.jsonl",),
        }[name]
        found = [path for pattern in patterns for path in folder.glob(pattern)]
        if name in ("corpus", "kb"):
            self._refuse_others(folder / name, found, patterns)
        self._refuse_names(found)
        return sorted(map(str, found))

    @staticmethod
    def _refuse_names(found):
        """Raise a UserError if a name is no text: no log or database could hold it."""
        for path in map(str, found):
            try:
                path.encode("utf-8")
            except UnicodeEncodeError:
                shown = path.encode("utf-8", "backslashreplace").decode()
                raise UserError(
                    f"{shown}: the name of the file is not in UTF-8; rename it (convmv -f latin1 "
                    "-t utf8 does it for many files)"
                ) from None

    @staticmethod
    def _refuse_others(folder, found, patterns):
        """Raise a UserError if a folder of texts holds a file that nobody would read."""
        files = folder.rglob("*") if folder.is_dir() else ()
        for path in sorted(set(files).difference(found)):
            if path.is_file() and not path.name.startswith("."):
                raise UserError(
                    f"{path}: expected one of {', '.join(patterns)}; convert the file, or move "
                    "it out of the folder"
                )

    def file(self, dataset, name):
        """A part of a dataset that is one file: its path, or an empty list without it."""
        return "".join(self.part(dataset, name)) or []

    def needed(self, dataset, name):
        """Like `part`, for a part that what was asked for cannot do without.

        Raises:
            UserError: the dataset has no such part.
        """
        found = self.part(dataset, name)
        if not found:
            if "corpus" in self.config["datasets"][dataset]:
                raise UserError(
                    f"dataset {dataset}: has no {name}; a text that is fetched is for pretraining "
                    "alone, so name another dataset where this one was asked for it"
                )
            folder = self.config["datasets"][dataset]["path"]
            wanted = {
                "corpus": "corpus/*.txt, *.md or *.jsonl",
                "sft": " or ".join(TRAINING_FILES),
                "preferences": "preferences.jsonl",
                "kb": "kb/*.md or *.txt",
                "tasks": "tasks.jsonl",
            }[name]
            raise UserError(
                f"dataset {dataset}: found no {name} in {folder}, expected {folder}/{wanted}"
            )
        return found

    def fetched(self):
        """Names of the datasets that are texts to fetch."""
        return [name for name, entry in self.config["datasets"].items() if "corpus" in entry]

    def local_copy(self, dataset):
        """The file that is taken in place of a text's URL, or an empty list."""
        return self.config["datasets"][dataset]["corpus"].get("path", [])

    def origin(self, dataset):
        """Where a dataset came from, in words."""
        entry = self.config["datasets"][dataset]
        if "simulate" in entry:
            return f"simulated from the spec {entry['simulate']}"
        if "corpus" in entry:
            return f"the text at {entry['corpus']['url']}"
        return f"the files of the folder {Path(entry['path']).name}"

    @staticmethod
    def _articles(folder):
        return sorted(str(path) for path in folder.glob("*.md"))
