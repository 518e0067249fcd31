"""What the release of a system is made of."""

from specialist.config.paths.entries import entry
from specialist.config.settings.systems import UNQUANTIZED
from specialist.core.errors import UserError


class Releases:
    """Answers the rules' questions about releases.

    Args:
        config: the loaded configuration.
        datasets, models, indexes, systems: of the same configuration.
    """

    def __init__(self, config, datasets, models, indexes, systems):
        self.config, self.datasets = config, datasets
        self.models, self.indexes, self.systems = models, indexes, systems

    def parts(self, system):
        """What a release of a system is made of.

        Returns:
            dict: "model" (name of its adapter or base), "gguf" (path), "index" (paths of the
            canonical index), "articles" (paths) and their "sources" (names), all empty without a
            search.

        Raises:
            UserError: the system has no model, or its index no encoder that is a file.
        """
        given = entry(self.config, "systems", system)
        model = given.get("adapter") or given.get("base")
        if model is None:
            raise UserError(
                f"systems.{system}: found the policy {given['policy']}, expected a system with a "
                "base or an adapter; a policy has no model to release"
            )
        if "engine" in given:
            raise UserError(
                f"systems.{system}: found an engine, expected a system whose model runs here; the "
                "release needs the model's file"
            )
        gguf = self.models.gguf(model, f"{given['quantization']}.gguf")
        found = {"model": model, "gguf": gguf, "index": [], "articles": [], "sources": []}
        if not (index := given.get("index")):
            return found
        if not self.indexes.encoder(index):
            raise UserError(
                f"indexes.{index}.encoder: found sentence-transformers, expected llama.cpp for a "
                "release, which carries the embedding model as a GGUF"
            )
        if "reranker" in self.indexes.entry(index):
            raise UserError(
                f"indexes.{index}.reranker: a release does not carry a reranker; release a system "
                "whose index has none"
            )
        if "shards" in self.indexes.entry(index) and self.indexes.words(index):
            raise UserError(
                f"indexes.{index}.search: found bm25 in an index with shards, expected only dense "
                "for a release; release a system whose index has either bm25 or shards"
            )
        dataset = self.indexes.entry(index)["dataset"]
        return found | {
            "index": self.indexes.canonical(index),
            "articles": self.datasets.needed(dataset, "kb"),
            "sources": self.datasets.sources(dataset),
        }

    def figures(self, system):
        """The files with figures for the card of a release, by the arguments of write_card."""
        given, model = self.config["systems"][system], self.parts(system)["model"]
        base, dataset = self.models.base_of(model)[1], self.models.dataset(model)
        adapted, pretrained = model in self.config["adapters"], base["train_tokens"]
        index, forgets = given.get("index"), self.models.forgets(model)
        base_name, kind = self.models.base_of(model)[0], given["quantization"]
        return {
            "base_general": self.models.general(base_name, UNQUANTIZED) if forgets else [],
            "general": self.models.general(model, kind) if forgets else [],
            "pretraining": self.models.base(model, "pretraining.json") if pretrained else [],
            "training": self.models.adapter(model, "training.json") if adapted else [],
            "source_facts": self.models.source_facts(model),
            "measures": self.models.measures(model, given["quantization"]),
            "retrieval": self.indexes.file(index, "retrieval.json") if index else [],
            "corpus": self.datasets.prepared(base["dataset"], "corpus.json") if pretrained else [],
            "sft": self.datasets.prepared(dataset, "sft.json") if adapted else [],
        }

    def described(self, system, dataset):
        """What a system is made of, for the card of its release."""
        given, model = self.config["systems"][system], self.parts(system)["model"]
        (base, settings), index = self.models.base_of(model), given.get("index")
        adapter = self.config["adapters"].get(model)
        return {
            "base": {"name": base} | settings,
            "adapter": {"name": model} | adapter if adapter else None,
            "quantization": given["quantization"],
            "embedding": self.indexes.entry(index)["embedding"] if index else None,
            "tools": bool(self.systems.tools(system, dataset)),
            "database": bool(self.systems.database(system, dataset)),
        }
