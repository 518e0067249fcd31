"""The files of models: bases, adapters, and the GGUFs that are made of both."""

from pathlib import Path

from specialist.config.paths.entries import entry
from specialist.config.settings.bases import imported as is_imported
from specialist.config.settings.bases import in_gguf
from specialist.config.settings.fields import IMATRIX
from specialist.config.settings.forgetting import HELD_OUT, TRAIN
from specialist.config.settings.systems import UNQUANTIZED
from specialist.core import packages
from specialist.core.model_files import SMALL_FILES, WEIGHT_FILES


class Models:
    """Answers the rules' questions about models. A model is a base or an adapter, by its name.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
        datasets: the `Datasets` of the same configuration.
    """

    def __init__(self, config, results, datasets):
        self.config, self.results, self.datasets = config, results, datasets

    def base_of(self, model):
        """(name, entry) of the base that a base or adapter stands on."""
        adapter = self.config["adapters"].get(model)
        name = adapter["base"] if adapter else model
        if name not in self.config["bases"]:  # a model that a user asked for by its path
            entry({"models": self.config["bases"] | self.config["adapters"]}, "models", name)
        return name, self.config["bases"][name]

    def precision(self, model):
        """The number format of the base that a base or adapter stands on."""
        return self.base_of(model)[1]["precision"]

    def processes(self, model):
        """Number of processes that train a base or adapter."""
        return (self.config["adapters"].get(model) or self.base_of(model)[1]).get("processes", 1)

    def script(self, alone, model):
        """The script that trains a base or adapter: that of one process, or of several."""
        several = self.processes(model) > 1
        return alone.replace(".py", "_in_processes.py") if several else alone

    def dataset(self, model):
        """Name of the dataset whose folder holds a model's GGUFs."""
        return (self.config["adapters"].get(model) or self.base_of(model)[1])["dataset"]

    def targets(self, base):
        """{adapter: its `target_modules`} of the adapters that are trained on a base."""
        adapters = self.config["adapters"].items()
        return {name: given["target_modules"] for name, given in adapters if given["base"] == base}

    def bases(self, *, imported, gguf=None):
        """Pattern of the names of imported bases, or of those from scratch.

        Args:
            gguf: True for those from a GGUF alone, False for all others, None for both.
        """
        entries = self.config["bases"].items()
        names = [
            name
            for name, given in entries
            if is_imported(given) == imported and gguf in (None, in_gguf(given))
        ]
        return "|".join(names) or "(?!)"  # which no name fits

    def source(self, base, weights=False):
        """Files that a base is imported from; none for one from the hub, which has a commit.

        Args:
            weights: whether its weights are meant, or its configuration and tokenizer.
        """
        given = self.config["bases"][base]
        if "package" in given:
            return [packages.gguf_of(f"bases.{base}", given["package"])]
        if "gguf" in given:
            return [given["gguf"]]
        if not (path := given.get("path")):
            return []
        patterns = WEIGHT_FILES if weights else SMALL_FILES
        found = (file for name in patterns for file in Path(path).glob(name))
        return sorted(str(file) for file in found if file.is_file())  # nothing reads a pipe

    def corpus(self, model):
        """Held-out documents of a model's base; an imported base may have none."""
        given = self.base_of(model)[1]
        if not given["train_tokens"] and not self.datasets.part(given["dataset"], "corpus"):
            return []
        return self.datasets.prepared(given["dataset"], "corpus.validation.jsonl")

    def base(self, model, name=""):
        """A file below the folder of the base that a base or adapter stands on."""
        base, given = self.base_of(model)
        return f"{self.results}/{given['dataset']}/base/{base}/{name}"

    def adapter(self, adapter, name=""):
        """A file below the folder of an adapter."""
        dataset = entry(self.config, "adapters", adapter)["dataset"]
        return f"{self.results}/{dataset}/adapter/{adapter}/{name}"

    def gguf(self, model, name):
        """A file below the folder of a model's GGUFs, such as `Q4_K_M.gguf`."""
        return f"{self.results}/{self.dataset(model)}/gguf/{model}/{name}"

    def imatrix(self, model, quantization):
        """The importance matrix that a type is made with, or an empty list."""
        return self.gguf(model, "imatrix.gguf") if quantization.endswith(IMATRIX) else []

    def base_gguf(self, model, quantization):
        """The F16 GGUF of the base of a quantised adapter; an empty list for others."""
        adapted = model in self.config["adapters"] and quantization != UNQUANTIZED
        return self.gguf(self.base_of(model)[0], f"{UNQUANTIZED}.gguf") if adapted else []

    def source_facts(self, model):
        """What is known of the GGUF that a model's base is from, or an empty list."""
        known = model and in_gguf(self.base_of(model)[1])
        return self.base(model, "model/source.json") if known else []

    def general_text(self):
        """The text that belongs to no dataset."""
        return self.config["forgetting"].get("text", HELD_OUT)

    def general(self, model, quantization):
        """What `measure_general` found."""
        return self.gguf(model, f"general/{quantization}.json")

    def forgets(self, model):
        """Whether a model is measured on general text, besides its base."""
        if model not in self.config["adapters"] or not self.config["forgetting"]["kilobytes"]:
            return False
        return "text" in self.config["forgetting"] or is_imported(self.base_of(model)[1])

    def measures(self, model, quantization):
        """What `measure_gguf` found."""
        return self.gguf(model, f"measures/{quantization}.json")

    def tokenizer(self, model):
        """The named inputs of a model's tokenizer, for `unpack`."""
        return {
            "tokenizer": self.base(model, "tokenizer/tokenizer.json"),
            "tokenizer_config": self.base(model, "tokenizer/tokenizer_config.json"),
            "chat_template": self.base(model, "tokenizer/chat_template.jinja"),
        }

    def frozen(self, model):
        """The named inputs of the base that an adapter stands on, for `unpack`."""
        given = self.base_of(model)[1]
        further = is_imported(given) and given["train_tokens"]
        folder = "continued" if further else "model"
        return {
            "model": self.base(model, f"{folder}/model.safetensors"),
            "config": self.base(model, f"{folder}/config.json"),
            **self.tokenizer(model),
        }

    def pretraining_tokens(self, model):
        """The tokens of the corpus of a base from scratch; an empty list for an imported one."""
        imported = is_imported(self.base_of(model)[1])
        return [] if imported else self.base(model, "tokens/train.npy")

    def whole(self, model):
        """The named inputs of a model, an adapter merged into its base, for `unpack`."""
        if model not in self.config["adapters"]:
            return self.frozen(model)
        return {
            "model": self.adapter(model, "merged/model.safetensors"),
            "config": self.adapter(model, "merged/config.json"),
            **self.tokenizer(model),
        }

    def trained(self, adapter):
        """The named inputs of an adapter as its last stage trained it, for `unpack`."""
        return {
            "adapter": self.last(adapter, "adapter_model.safetensors"),
            "adapter_config": self.last(adapter, "adapter_config.json"),
        }

    def last(self, adapter, name):
        """A file of the last stage of an adapter's training."""
        below = "dpo/" if "dpo" in entry(self.config, "adapters", adapter) else ""
        return self.adapter(adapter, f"{below}{name}")

    def conversations(self, adapter):
        """The conversations that an adapter is trained on, with general text if it has any."""
        if self.general_rows(adapter):
            return self.adapter(adapter, "mixed.train.jsonl")
        dataset = entry(self.config, "adapters", adapter)["dataset"]
        return self.datasets.prepared(dataset, "sft.train.jsonl")

    def general_rows(self, adapter):
        """The rows of general text that an adapter is trained on, or an empty list."""
        mixes = entry(self.config, "adapters", adapter)["mix_general"]
        return [self.adapter(adapter, "general.train.jsonl")] if mixes else []

    def mixed_text(self, adapter):
        """The text that these rows are made of."""
        return entry(self.config, "adapters", adapter).get("general_text", TRAIN)

    def sentencepiece(self, model):
        """The SentencePiece model of an imported base, or an empty list."""
        if not is_imported(self.base_of(model)[1]):
            return []
        return self.base(model, "tokenizer/sentencepiece.model")

    def preferences(self, adapter):
        """Where the preferences of an adapter come from: its own mistakes, or the user's file."""
        dataset = entry(self.config, "adapters", adapter)["dataset"]
        if "simulate" in self.datasets.entry(dataset):
            return [self.adapter(adapter, "dpo/collected.jsonl")]
        return self.datasets.needed(dataset, "preferences")

    def practice(self, adapter):
        """What the preferences of an adapter are drawn from, before any training."""
        given = entry(self.config, "adapters", adapter)
        if "dpo" not in given:
            return []
        if "simulate" in self.datasets.entry(given["dataset"]):
            return [self.adapter(adapter, "dpo/practice.jsonl")]
        halves = ("train", "validation")
        return [self.adapter(adapter, f"dpo/preferences.{half}.jsonl") for half in halves]

    def gates(self, model):
        """{stage: file of its gates} of what a model was made by."""
        found, base = {}, self.base_of(model)
        if model in self.config["adapters"]:
            found[f"merge/{model}"] = self.adapter(model, "merge_gate.json")
        if is_imported(base[1]):
            found[f"base/{base[0]}"] = self.base(model, "tokenizer/gate.json")
        if in_gguf(base[1]):
            found[f"weights/{base[0]}"] = self.base(model, "model/gate.json")
        return found | {f"gguf/{model}": self.gguf(model, "convert_gate.json")}
