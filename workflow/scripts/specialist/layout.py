"""Where things lie: the parts of a dataset, and which files a model is made of."""

from pathlib import Path

from specialist.bases import SMALL_FILES, WEIGHT_FILES
from specialist.config import taken_over
from specialist.paper import (
    BENCHMARK,
    PRETRAINING,
    QUANTIZATION,
    RETRIEVAL,
    SCALE,
    STACK,
)
from specialist.step import UserError

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


class Layout:
    """Answers the rules' questions about inputs.

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
        return sorted(map(str, found))

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

    def training(self):
        """All prepared data that a model or an index of any system learned from."""
        systems = self.config["systems"].values()
        adapters = {entry["adapter"] for entry in systems if "adapter" in entry}
        bases = {self.base_of(name)[0] for name in adapters}
        bases |= {entry["base"] for entry in systems if "base" in entry}
        corpora = {
            entry["dataset"]
            for entry in map(self.config["bases"].get, bases)
            if entry["train_tokens"]
        }
        chats = {self.config["adapters"][name]["dataset"] for name in adapters}
        indexes = [name for name in self._indexes() if self.shift(name)]
        chats |= {self.config["indexes"][name]["dataset"] for name in indexes}
        names = [(name, "corpus") for name in corpora] + [(name, "sft") for name in chats]
        return [
            f"{self.results}/{name}/prepared/{part}.{split}.jsonl"
            for name, part in sorted(names)
            for split in ("train", "validation")
        ] + [path for name in sorted(adapters) for path in self._preferred(name)]

    def _preferred(self, adapter):
        """What the preferences of an adapter with DPO hold, as it stands before any training."""
        entry = self.config["adapters"][adapter]
        if "dpo" not in entry:
            return []
        folder = f"{self.adapter_folder(adapter)}/dpo"
        if "simulate" in self.config["datasets"][entry["dataset"]]:
            return [f"{folder}/practice.jsonl"]
        return [f"{folder}/preferences.{split}.jsonl" for split in ("train", "validation")]

    def preferences(self, adapter):
        """Where the preferences of an adapter come from: its own mistakes, or the user's file."""
        dataset = self.config["adapters"][adapter]["dataset"]
        if "simulate" in self.config["datasets"][dataset]:
            return [f"{self.adapter_folder(adapter)}/dpo/collected.jsonl"]
        return self.needed(dataset, "preferences")

    def adapter_folder(self, adapter):
        """Folder of an adapter as LoRA trained it."""
        return f"{self.results}/{self.config['adapters'][adapter]['dataset']}/adapter/{adapter}"

    def trained_folder(self, adapter):
        """Folder of an adapter as its last stage trained it."""
        last = "/dpo" if "dpo" in self.config["adapters"][adapter] else ""
        return f"{self.adapter_folder(adapter)}{last}"

    def base_of(self, model):
        """(name, entry) of the base that a base or adapter stands on."""
        adapter = self.config["adapters"].get(model)
        name = adapter["base"] if adapter else model
        return name, self.config["bases"][name]

    def targets(self, base):
        """{adapter: its `target_modules`} of the adapters that are trained on a base."""
        adapters = self.config["adapters"].items()
        return {n: entry["target_modules"] for n, entry in adapters if entry["base"] == base}

    def base_folder(self, model):
        """Folder of the base that a base or adapter stands on."""
        name, base = self.base_of(model)
        return f"{self.results}/{base['dataset']}/base/{name}"

    def bases(self, *, taken):
        """Pattern of the names of bases that are taken over, or of those from scratch."""
        entries = self.config["bases"].items()
        names = [name for name, entry in entries if taken_over(entry) == taken]
        return "|".join(names) or "(?!)"  # which no name fits

    def source(self, base, weights=False):
        """Files that a base is taken over from; none for one from the hub, which has a commit.

        Args:
            weights: whether they are its weights, or its configuration and tokenizer.
        """
        if not (path := self.config["bases"][base].get("path")):
            return []
        patterns = WEIGHT_FILES if weights else SMALL_FILES
        return sorted(str(file) for name in patterns for file in Path(path).glob(name))

    def corpus(self, base):
        """Held-out documents beside a base's conversations; it may have none if taken over."""
        entry = self.config["bases"][base]
        if not entry["train_tokens"] and not self.part(entry["dataset"], "corpus"):
            return []
        return f"{self.results}/{entry['dataset']}/prepared/corpus.validation.jsonl"

    def weights_folder(self, model):
        """Folder with model.safetensors and config.json that a base, or an adapter's, ends as."""
        base = self.base_of(model)[1]
        further = taken_over(base) and base["train_tokens"]
        return f"{self.base_folder(model)}/{'continued' if further else 'model'}"

    def sentencepiece(self, model):
        """The SentencePiece model of a base that is taken over, or an empty list."""
        if not taken_over(self.base_of(model)[1]):
            return []
        return f"{self.base_folder(model)}/tokenizer/sentencepiece.model"

    def model_folder(self, model):
        """Folder with model.safetensors and config.json, ready to be converted."""
        if model in self.config["adapters"]:
            dataset = self.config["adapters"][model]["dataset"]
            return f"{self.results}/{dataset}/adapter/{model}/merged"
        return self.weights_folder(model)

    def model_dataset(self, model):
        """Dataset whose folder holds a model's GGUFs."""
        entry = self.config["adapters"].get(model) or self.config["bases"][model]
        return entry["dataset"]

    def gguf(self, model, quantization):
        return f"{self.results}/{self.model_dataset(model)}/gguf/{model}/{quantization}.gguf"

    def index_folder(self, index):
        return f"{self.results}/{self.config['indexes'][index]['dataset']}/index/{index}"

    def encoder(self, index):
        """The GGUF that embeds queries, or an empty list where sentence-transformers does."""
        if self.config["indexes"][index]["encoder"] != "llama.cpp":
            return []
        return f"{self.index_folder(index)}/encoder.gguf"

    def weights(self, index):
        """Files of the embedding model if it is a folder, which nothing but its content names."""
        kind, _, name = self.config["indexes"][index]["embedding"].partition(":")
        if kind != "path":
            return []
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        hidden = [path for path in files if "/." in f"/{path.relative_to(name)}"]
        return sorted(str(path) for path in files if path not in hidden)

    def shift(self, index):
        """What an index learned from conversations, or an empty list where it learns nothing."""
        entry = self.config["indexes"][index]
        if not entry["learn_from"] or not self.part(entry["dataset"], "sft"):
            return []
        return f"{self.index_folder(index)}/shift.npy"

    def system_files(self, system):
        """Its "gguf", "store", "settings", "encoder", "shift": a path, or [] for what it lacks."""
        entry = self.config["systems"][system]
        files = {"gguf": [], "store": [], "settings": [], "encoder": [], "shift": []}
        model = entry.get("base") or entry.get("adapter")
        if model:
            files["gguf"] = self.gguf(model, entry["quantization"])
        if "index" in entry:
            folder = self.index_folder(entry["index"])
            files["store"], files["settings"] = f"{folder}/chroma.zip", f"{folder}/embeddings.json"
            files["encoder"] = self.encoder(entry["index"])
            files["shift"] = self.shift(entry["index"])
        return files

    def system_tools(self, system, dataset):
        """The tools that a system may use: a path, or an empty list."""
        return self.file(dataset, "tools") if self.config["systems"][system]["tools"] else []

    def scores(self, system):
        return f"{self.results}/{self.config['dataset']}/agent/{system}/scores.json"

    def cells(self, experiments):
        """The cells of the paper with the files that hold what was measured.

        Args:
            experiments: {experiment: cells}, as `specialist.paper.lay_out` returns them.

        Returns:
            list of dicts: "experiment", "cell", "seed" and "files", see collect_paper.py.
        """
        return [
            {
                "experiment": experiment,
                "cell": cell["cell"],
                "seed": cell["seed"],
                "files": self._measured(experiment, cell),
            }
            for experiment, cells in experiments.items()
            for cell in cells
        ]

    def curves(self, experiments):
        """Those of the `cells` that are curves of pretraining."""
        kinds = (PRETRAINING, BENCHMARK)
        return [cell for cell in self.cells(experiments) if cell["experiment"] in kinds]

    def published(self, experiment):
        """What the paper's benchmarks reached elsewhere, for their experiment."""
        names = self.config["papers"][self.config["paper"]]["benchmarks"]
        own = [self.config["benchmarks"][name]["published"] for name in names]
        return own if experiment == BENCHMARK else []

    def samples(self, experiments):
        """Curves with samples, one of each benchmark."""
        found = {}
        for cell in self.curves(experiments):
            if cell["experiment"] == BENCHMARK:
                found.setdefault(cell["cell"], cell["files"]["curve"])
        return list(found.values())

    def pretraining(self, experiments):
        """Figures of the first base that was pretrained."""
        return self._measured(PRETRAINING, experiments[PRETRAINING][0])["pretraining"]

    def scale(self, shape, ending="json"):
        return f"{self.results}/paper/scale/{shape}.{ending}"

    def _measured(self, experiment, cell):
        if experiment == RETRIEVAL:
            return {"searches": f"{self.index_folder(cell['index'])}/searches.json"}
        if experiment == SCALE:
            return {"scale": self.scale(cell["shape"])}
        if experiment == PRETRAINING:
            folder = self.base_folder(cell["base"])
            return {
                "losses": f"{folder}/loss.csv",
                "stats": f"{folder}/tokens/stats.json",
                "pretraining": f"{folder}/pretraining.json",
            }
        if experiment == BENCHMARK:
            folder = self.base_folder(cell["base"])
            return {"curve": f"{folder}/curve.jsonl", "times": f"{folder}/times.jsonl"}
        model = cell["adapter"] or cell["base"]
        folder = f"{self.results}/{self.model_dataset(model)}"
        files = {"scores": f"{folder}/agent/{cell['system']}/scores.json"}
        if experiment == QUANTIZATION:
            kind = self.config["systems"][cell["system"]]["quantization"]
            files["measures"] = f"{folder}/gguf/{model}/measures/{kind}.json"
        elif experiment != STACK:
            files["evaluation"] = f"{folder}/adapter/{model}/evaluation.json"
            files["adapter"] = f"{folder}/adapter/{model}/adapter_model.safetensors"
        return files

    def released(self, system):
        """What a release of a system is made of.

        Returns:
            dict: "model" (name of its adapter or base), "gguf" (path), "index" (paths of the
            canonical index) and "articles" (paths), both empty without a search.

        Raises:
            UserError: the system has no model, or its index no encoder that is a file.
        """
        entry = self.config["systems"][system]
        model = entry.get("adapter") or entry.get("base")
        if model is None:
            raise UserError(
                f"systems.{system}: found the policy {entry['policy']}, expected a system with a "
                "base or an adapter; a policy has no model to release"
            )
        found = {"model": model, "gguf": self.gguf(model, entry["quantization"])}
        if "index" not in entry:
            return found | {"index": [], "articles": []}
        name = entry["index"]
        folder, dataset = self.index_folder(name), self.config["indexes"][name]["dataset"]
        if not self.encoder(name):
            raise UserError(
                f"indexes.{name}.encoder: found sentence-transformers, expected llama.cpp for a "
                "release, which carries the embedding model as a GGUF"
            )
        index = [f"{folder}/{file}" for file in ("chunks.jsonl", "embeddings.npy")]
        index += [f"{folder}/embeddings.json", self.encoder(name)]
        index += [shift] if (shift := self.shift(name)) else []
        return found | {"index": index, "articles": self.needed(dataset, "kb")}

    def figures(self, system, dataset):
        """The files with figures for the card of a release, by the arguments of write_card."""
        entry, model = self.config["systems"][system], self.released(system)["model"]
        base, adapter = self.base_of(model)[1], self.config["adapters"].get(model)
        folder = f"{self.results}/{self.model_dataset(model)}"
        index = entry.get("index")
        # A base that was taken over need not have been pretrained here.
        corpus = f"{self.results}/{base['dataset']}/prepared/corpus.json"
        corpus = corpus if base["train_tokens"] else []
        return {
            "pretraining": f"{self.base_folder(model)}/pretraining.json" if corpus else [],
            "training": f"{folder}/adapter/{model}/training.json" if adapter else [],
            "measures": f"{folder}/gguf/{model}/measures/{entry['quantization']}.json",
            "retrieval": f"{self.index_folder(index)}/retrieval.json" if index else [],
            "corpus": corpus,
            "sft": f"{folder}/prepared/sft.json" if adapter else [],
        }

    def described(self, system):
        """What a system is made of, for the card of its release."""
        entry, model = self.config["systems"][system], self.released(system)["model"]
        (base, settings), index = self.base_of(model), entry.get("index")
        adapter = self.config["adapters"].get(model)
        return {
            "base": {"name": base} | settings,
            "adapter": {"name": model} | adapter if adapter else None,
            "quantization": entry["quantization"],
            "embedding": self.config["indexes"][index]["embedding"] if index else None,
        }

    def origin(self, dataset):
        """Where a dataset came from, in words."""
        entry = self.config["datasets"][dataset]
        if "simulate" in entry:
            return f"simulated from the spec {entry['simulate']}"
        if "corpus" in entry:
            return f"the text at {entry['corpus']['url']}"
        return f"the files of the folder {Path(entry['path']).name}"

    def headline_model(self):
        """The base or adapter of the headline system, or None for a policy."""
        entry = self.config["systems"][self.config["headline"]]
        return entry.get("adapter") or entry.get("base")

    def measured(self):
        """Quantised types of the headline's model."""
        return self.config["quantizations"] if self.headline_model() else []

    def measures(self, quantization):
        model = self.headline_model()
        return (
            f"{self.results}/{self.model_dataset(model)}/gguf/{model}/measures/{quantization}.json"
        )

    def _indexes(self):
        entries = self.config["systems"].values()
        return list(dict.fromkeys(entry["index"] for entry in entries if "index" in entry))

    def retrieval(self):
        """Measure of the index that the headline searches, or an empty list."""
        index = self.config["systems"][self.config["headline"]].get("index")
        return f"{self.index_folder(index)}/retrieval.json" if index else []

    def gates(self):
        """{stage: file of its gates} of everything that a system runs with."""
        found = {}
        for entry in self.config["systems"].values():
            model = entry.get("adapter") or entry.get("base")
            if "adapter" in entry:
                folder = f"{self.results}/{self.model_dataset(model)}/adapter/{model}"
                found[f"merge/{model}"] = f"{folder}/merge_gate.json"
            if model and taken_over(self.base_of(model)[1]):
                gate = f"{self.base_folder(model)}/tokenizer/gate.json"
                found[f"base/{self.base_of(model)[0]}"] = gate
            if model:
                folder = f"{self.results}/{self.model_dataset(model)}/gguf/{model}"
                found[f"gguf/{model}"] = f"{folder}/convert_gate.json"
        for index in self._indexes():
            found[f"index/{index}"] = f"{self.index_folder(index)}/gate.json"
        return found

    @staticmethod
    def _articles(folder):
        return sorted(str(path) for path in folder.glob("*.md"))
