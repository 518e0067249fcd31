"""The files of a dataset: simulated, fetched, or in the user's folder."""

from pathlib import Path

from specialist.config.paths.entries import entry
from specialist.config.paths.parts import (
    CONVERSATIONS,
    DOCUMENTS,
    FOLDERS,
    NEEDS_DATABASE,
    NEEDS_HANDBOOK,
    PARTS,
    PROMPTS,
    SPEC,
)
from specialist.config.paths.uses import ADDS, OVERLAYS, uses
from specialist.config.settings.datasets import Tickets
from specialist.config.texts import texts
from specialist.core.errors import UserError
from specialist.core.packages import gguf_of


class Datasets:
    """Answers the rules' questions about datasets.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
        evaluated: the configuration without the paper's cells, for messages; default: `config`.
    """

    def __init__(self, config, results="results", evaluated=None):
        self.config, self.results = config, results
        self.evaluated = evaluated or config

    def entry(self, dataset):
        return entry(self.config, "datasets", dataset)

    def spec(self, dataset, part):
        """Files of a dataset's spec that one of its parts is drawn from."""
        given = self.entry(dataset)
        folder = Path(given["simulate"])
        names = SPEC[part] + (["database.sql"] if part in NEEDS_DATABASE else [])
        if part in CONVERSATIONS and given[CONVERSATIONS[part]]:
            names = [*names, "conversations.yaml"]
        # Topics that other held-out sayings lack.
        if part == "tasks" and (folder / "sayings/heldout.yaml").is_file():
            names = [*names, "sayings/heldout.yaml"]
        names = [name.format(sayings=given["sayings"]) for name in names]
        files = [str(folder / name) for name in dict.fromkeys(names)]
        return files + (self._articles(folder / "handbook") if part in NEEDS_HANDBOOK else [])

    def part(self, dataset, name):
        """Files of a part of a dataset: `given`, and those made of tickets or by a teacher."""
        made = self._synthesized(dataset, name)
        if name == "corpus" and self.tickets(dataset):
            made = [f"{self.results}/{dataset}/tickets/corpus.jsonl"]
        return self.given(dataset, name) + made

    def given(self, dataset, name):
        """Files of a part of a dataset: simulated, fetched, or in the user's folder.

        Args:
            name: a key of PARTS.

        Returns:
            list of paths; empty if the dataset does not have this part.

        Raises:
            UserError: a folder of texts has another kind of file; see `specialist.config.texts`.
        """
        given = self.entry(dataset)
        made = f"{self.results}/{dataset}/data"
        if "simulate" in given:
            pages = self._articles(Path(given["simulate"]) / "handbook")
            return {
                "corpus": [f"{made}/corpus/corpus.jsonl"],
                "sft": [f"{made}/sft.jsonl"],
                "tickets": [],
                "preferences": [],
                "kb": [f"{made}/kb/{Path(page).name}" for page in pages],
                "tools": [f"{made}/tools.yaml"],
                "database": [f"{made}/database.sql"],
                "tasks": [f"{made}/tasks.jsonl"],
            }[name]
        if "corpus" in given:
            return [f"{made}/corpus.txt"] if name == "corpus" else []
        folder = Path(given["path"])
        if name in FOLDERS:
            return [str(path) for path in texts(folder / name, FOLDERS[name])]
        return sorted({str(path) for pattern in PARTS[name] for path in folder.glob(pattern)})

    def tickets(self, dataset):
        """The files in tickets/ of a user's folder; empty without any."""
        return self.given(dataset, "tickets") if "path" in self.entry(dataset) else []

    def ticket_settings(self, dataset):
        """How the tickets of a dataset are read and divided: its entry, or the defaults."""
        return self.entry(dataset).get("tickets") or Tickets().model_dump()

    def synthetic(self, dataset, name):
        """A file that the rules `synthesize_*` write, such as `report.json`."""
        return f"{self.results}/{dataset}/synthetic/{name}"

    def candidates(self, dataset):
        """What the teacher wrote on each article and for the tools, judged if there is a judge.

        The articles have the order of `sources`.
        """
        names = [f"articles/{source}.jsonl" for source in self.sources(dataset)]
        names += ["requests.jsonl"] if self.requested(dataset) else []
        judged = "judged/" if self.asked(dataset).get("judge") is not None else ""
        return [self.synthetic(dataset, judged + name) for name in names]

    def asked(self, dataset):
        """The settings of `synthesize` of a dataset.

        Raises:
            UserError: it has none.
        """
        if found := self.entry(dataset).get("synthesize"):
            return found
        raise UserError(
            f"dataset {dataset}: has no `synthesize`, so no teacher writes rows for it; add it"
        )

    def prompts(self, dataset, *kinds):
        """The files of the folder `prompts` for some keys of PROMPTS.

        Those of "conversations" and "judge" are left out where the dataset asks for none.
        """
        asked = self.asked(dataset)
        unused = {"judge"} if asked.get("judge") is None else set()
        unused |= set() if asked["conversations"] else {"conversations"}
        names = (name for kind in kinds if kind not in unused for name in PROMPTS[kind])
        return [str(Path(asked["prompts"]) / name) for name in dict.fromkeys(names)]

    def holds_out(self, dataset):
        """Whether the held-out styles write too."""
        asked = self.asked(dataset)
        return asked["tasks"] > 0 or asked["conversations"] > 0

    def requested(self, dataset):
        """Whether the teacher writes messages for the tools."""
        asked = self.asked(dataset)
        return bool((asked["requests"] or asked["conversations"]) and self.file(dataset, "tools"))

    def teacher(self, dataset):
        """The GGUF of a local teacher, or an empty list.

        Raises:
            UserError: the package that should contain it is not installed, or contains none.
        """
        return self._local(dataset, "teacher", self.asked(dataset)["teacher"])

    def judge(self, dataset):
        """The settings of the judge: the teacher's, unless it has a model of its own.

        Its `temperature` and `max_tokens` are its own in any case.
        """
        asked = self.asked(dataset)
        own = dict(asked["judge"])
        if any(own.get(key) for key in ("url", "gguf", "package")):
            return own
        limits = {key: own[key] for key in ("temperature", "max_tokens")}
        return {**asked["teacher"], **limits}

    def judge_weights(self, dataset):
        """Like `teacher`, of the judge."""
        return self._local(dataset, "judge", self.judge(dataset))

    @staticmethod
    def _local(dataset, key, given):
        if name := given.get("package"):
            return gguf_of(f"datasets.{dataset}.synthesize.{key}", name)
        return given.get("gguf") or []

    def article(self, dataset, source):
        """The text of an article by its name in `sources`."""
        return dict(zip(self.sources(dataset), self.articles(dataset), strict=True))[source]

    def _synthesized(self, dataset, name):
        wanted = self.entry(dataset).get("synthesize")
        if not wanted or name not in ("sft", "tasks"):
            return []
        if name == "tasks" and not self.holds_out(dataset):
            return []
        return [self.synthetic(dataset, f"{name}.jsonl")]

    def sources(self, dataset):
        """The names of a dataset's articles: their paths below its kb/, in the articles' order."""
        folder, paths = self.entry(dataset).get("path"), map(Path, self.part(dataset, "kb"))
        if folder is None:
            return [path.name for path in paths]
        return [path.relative_to(Path(folder) / "kb").as_posix() for path in paths]

    def articles(self, dataset):
        """The texts that are cut into chunks: articles, and documents in Markdown.

        They have the order of `sources`.
        """
        paths, sources = self.needed(dataset, "kb"), self.sources(dataset)
        return [
            f"{self.results}/{dataset}/documents/{source}.md"
            if Path(path).suffix.lower() in DOCUMENTS
            else path
            for path, source in zip(paths, sources, strict=True)
        ]

    def file(self, dataset, name):
        """A part of a dataset that is one file: its path, or an empty list without it."""
        return "".join(self.part(dataset, name)) or []

    def needed(self, dataset, name):
        """Like `part`, for a part that the requested result needs.

        Raises:
            UserError: the dataset has no such part; the message names all parts that it lacks and
                what each is needed for.
        """
        if found := self.part(dataset, name):
            return found
        given, needed = self.entry(dataset), uses(self.evaluated, dataset)
        lacking = [part for part in {name: None, **needed} if not self.part(dataset, part)]
        if "path" not in given:
            kind = "a simulated dataset" if "simulate" in given else "a text to download"
            raise UserError(
                f"dataset {dataset}: has no {', '.join(lacking)}, because it is {kind}; use "
                "another dataset for this part"
            )
        lines = [f"dataset {dataset}: is not complete; only used parts are needed"]
        for part in lacking:
            usual = [name for name in PARTS[part] if not name.endswith(".*")]
            files = f"{given['path']}/{' or '.join(usual)}"
            reason = f": it {needed[part]}" if part in needed else ""
            lines.append(f"found no {part} in {given['path']}, expected {files}{reason}")
        if unused := [line for part, line in self.absent(dataset).items() if part not in lacking]:
            lines.append("these parts are missing too, but this configuration does not need them:")
            lines += unused
        lines.append(f"for datasets without some parts, use {OVERLAYS}")
        raise UserError("\n  ".join(lines))

    def absent(self, dataset):
        """{part: what it would add} of the parts that a user's folder lacks; else an empty dict."""
        if "path" not in self.entry(dataset):
            return {}
        parts = {Path(file).stem: f"{file}: {text}" for file, text in ADDS.items()}
        return {part: line for part, line in parts.items() if not self.part(dataset, part)}

    def prepared(self, dataset, name):
        """A checked file of a dataset, such as `sft.train.jsonl`."""
        return f"{self.results}/{dataset}/prepared/{name}"

    def splits(self, dataset, part):
        """Both halves of a checked part that models learn from: corpus or sft."""
        return [self.prepared(dataset, f"{part}.{half}.jsonl") for half in ("train", "validation")]

    def fetched(self):
        """Names of the datasets that are texts to fetch."""
        return [name for name, given in self.config["datasets"].items() if "corpus" in given]

    def local_copy(self, dataset):
        """The file that is used instead of a text's URL, or an empty list."""
        return self.entry(dataset)["corpus"].get("path", [])

    def origin(self, dataset):
        """Where a dataset came from, in words."""
        given = self.entry(dataset)
        if "simulate" in given:
            return f"simulated from the spec {given['simulate']}"
        if "corpus" in given:
            return f"the text at {given['corpus']['url']}"
        return f"the files of the folder {Path(given['path']).name}"

    @staticmethod
    def _articles(folder):
        return sorted(str(path) for path in folder.glob("*.md"))
