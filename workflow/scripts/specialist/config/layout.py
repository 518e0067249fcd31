"""Where things lie: which files results, the paper and releases are made of."""

from specialist.config.experiments import (
    BENCHMARK,
    PRETRAINING,
    QUANTIZATION,
    RETRIEVAL,
    SCALE,
    STACK,
)
from specialist.config.load import taken_over
from specialist.config.model_files import ModelFiles
from specialist.core.errors import UserError


class Layout(ModelFiles):
    """Answers the rules' questions about inputs, those about datasets and models among them."""

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

    def cells(self, experiments):
        """The cells of the paper with the files that hold what was measured.

        Args:
            experiments: {experiment: cells}, as `experiments.lay_out` returns them.

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
            files["cost"] = f"{folder}/adapter/{model}/cost.json"
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
