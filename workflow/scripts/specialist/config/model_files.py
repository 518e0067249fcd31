"""The files of bases, adapters, indexes, and of the systems that are made of them."""

from pathlib import Path

from specialist.config.dataset_files import DatasetFiles
from specialist.config.load import taken_over
from specialist.core.model_files import SMALL_FILES, WEIGHT_FILES


class ModelFiles(DatasetFiles):
    """Answers the rules' questions about models and indexes, beside those about datasets."""

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

    def adapter_folder(self, adapter):
        """Folder of an adapter as LoRA trained it."""
        return f"{self.results}/{self.config['adapters'][adapter]['dataset']}/adapter/{adapter}"

    def trained_folder(self, adapter):
        """Folder of an adapter as its last stage trained it."""
        last = "/dpo" if "dpo" in self.config["adapters"][adapter] else ""
        return f"{self.adapter_folder(adapter)}{last}"

    def preferences(self, adapter):
        """Where the preferences of an adapter come from: its own mistakes, or the user's file."""
        dataset = self.config["adapters"][adapter]["dataset"]
        if "simulate" in self.config["datasets"][dataset]:
            return [f"{self.adapter_folder(adapter)}/dpo/collected.jsonl"]
        return self.needed(dataset, "preferences")

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

    def system_database(self, system, dataset):
        """The database that its tools work on: a path, or an empty list."""
        return self.file(dataset, "database") if self.system_tools(system, dataset) else []

    def scores(self, system):
        return f"{self.results}/{self.config['dataset']}/agent/{system}/scores.json"
