"""The files with time and memory of each step behind a result.

The tools and the prompt are left out: these two steps only copy text. So are the steps of a
teacher: their time is mostly that of its server.
"""

from specialist.config.settings.bases import imported, in_gguf
from specialist.config.settings.fields import IMATRIX
from specialist.config.settings.systems import UNQUANTIZED

SIMULATED = {
    "corpus": "simulate_corpus", "sft": "simulate_sft", "kb": "simulate_kb",
    "tasks": "simulate_tasks",
}  # fmt: skip

# What a sweep compares: the trainings of a system's model, and its own run.
COMPARED = ("pretrain", "continue_pretraining", "train_lora", "train_dpo", "run_agent")


class Costs:
    """Answers which steps make the result of a configuration.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
        datasets, models, indexes, systems: of the same configuration.
    """

    def __init__(self, config, results, datasets, models, indexes, systems):
        self.config, self.results, self.datasets = config, results, datasets
        self.models, self.indexes, self.systems = models, indexes, systems

    def file(self, dataset, step, name=None):
        """What the engine writes of a step: JSON with times, peak memory and machine."""
        below = f"{step}/{name}" if name else step
        return f"{self.results}/{dataset}/costs/{below}.json"

    def of_run(self):
        """{step, in words: its file} of all steps before the result, in the order of the data."""
        found = {}
        for dataset, step, name in dict.fromkeys(self._steps()):
            elsewhere = f" ({dataset})" if dataset != self.config["dataset"] else ""
            words = f"{step} {name}" if name else step
            found[f"{words}{elsewhere}"] = self.file(dataset, step, name)
        return found

    def of_sweep(self):
        """{step and name: its file} of the trainings of all systems' models, and of their runs."""
        return {
            f"{step} {name}": self.file(dataset, step, name)
            for dataset, step, name in dict.fromkeys(self._steps())
            if step in COMPARED
        }

    def _steps(self):
        """Yield (dataset, step, name or None); some come more than once."""
        systems = self.systems
        adapters, ggufs = systems.used("adapter"), self._ggufs()
        bases = dict.fromkeys(self.models.base_of(name)[0] for name in [*adapters, *ggufs])
        yield from self._data(bases, ggufs)
        for base in bases:
            yield from self._base(base)
        for adapter in adapters:
            yield from self._adapter(adapter)
        for model, kinds in ggufs.items():
            yield from self._gguf(model, kinds)
        for index in systems.used("index"):
            yield from self._index(index)
        evaluated = self.config["dataset"]
        served = {*systems.served()}
        for system in self.config["systems"]:
            yield evaluated, "run_served" if system in served else "run_agent", system
        yield from ((evaluated, "score", system) for system in self.config["systems"])

    def _ggufs(self):
        """{model: its types} that systems run, or that are measured or compared with."""
        systems, found = self.systems, {}
        for name, system in self.config["systems"].items():
            if model := systems.model(name):
                found.setdefault(model, {})[system["quantization"]] = None
        if headline := systems.headline_model():
            for kind in systems.measured():
                found.setdefault(headline, {})[kind] = None
                if self.models.base_gguf(headline, kind):
                    found.setdefault(self.models.base_of(headline)[0], {})
            if systems.forgotten():
                for model in (headline, self.models.base_of(headline)[0]):
                    found.setdefault(model, {})
        return found

    def _data(self, bases, ggufs):
        main = self.config["dataset"]
        parts = {(main, "tasks"): None}
        for base in bases:
            given = self.config["bases"][base]
            if given["train_tokens"]:
                parts[given["dataset"], "corpus"] = None
        for model in ggufs:
            if self.models.corpus(model):
                parts[self.models.base_of(model)[1]["dataset"], "corpus"] = None
            parts[self.models.dataset(model), "sft"] = None
        for index in self.systems.used("index"):
            dataset = self.indexes.entry(index)["dataset"]
            parts[dataset, "kb"] = None
            if self.indexes.shift(index):
                parts[dataset, "sft"] = None
        for dataset, part in parts:
            given = self.datasets.entry(dataset)
            if "simulate" in given:
                yield dataset, SIMULATED[part], None
            if part == "corpus" and "corpus" in given:
                yield from ((dataset, step, None) for step in ("fetch_corpus", "split_corpus"))
            elif part in ("corpus", "sft", "tasks"):
                if part == "corpus" and self.datasets.tickets(dataset):
                    yield dataset, "prepare_tickets", None
                yield dataset, f"prepare_{part}", None
        yield main, "audit_leakage", None

    def _base(self, base):
        given = self.config["bases"][base]
        steps = ["train_tokenizer", "tokenize_corpus", "pretrain"]
        if imported(given):
            fetch = "dequantize_base" if in_gguf(given) else "fetch_base"
            further = ["tokenize_corpus", "continue_pretraining"] if given["train_tokens"] else []
            steps = ["fetch_tokenizer", fetch, *further]
        return [(given["dataset"], step, base) for step in steps]

    def _adapter(self, adapter):
        given = self.config["adapters"][adapter]
        steps = ["mix_general", "train_lora"] if given["mix_general"] else ["train_lora"]
        if "dpo" in given:
            own = "simulate" in self.datasets.entry(given["dataset"])
            steps += ["simulate_practice", "collect_preferences"] if own else []
            steps += ["prepare_preferences", "train_dpo"]
        return [(given["dataset"], step, adapter) for step in [*steps, "merge_lora"]]

    def _gguf(self, model, kinds):
        dataset = self.models.dataset(model)
        yield from ((dataset, step, model) for step in ("render_text", "convert_gguf"))
        if any(kind.endswith(IMATRIX) for kind in kinds):
            yield dataset, "measure_importance", model
        yield from (
            (dataset, "quantize", f"{model}.{kind}") for kind in kinds if kind != UNQUANTIZED
        )
        if model == self.systems.headline_model():
            measured = self.systems.measured()
            yield from ((dataset, "measure_gguf", f"{model}.{kind}") for kind in measured)
        yield from ((dataset, "measure_general", f"{model}.{kind}") for kind in self._read(model))

    def _read(self, model):
        """Types of a model that are measured on general text."""
        headline, forgotten = self.systems.headline_model(), self.systems.forgotten()
        if model == headline:
            return forgotten
        before = forgotten and model == self.models.base_of(headline)[0]
        return [UNQUANTIZED] if before else []

    def _index(self, index):
        dataset = self.indexes.entry(index)["dataset"]
        sources = self.datasets.sources(dataset)
        made = self.datasets.articles(dataset)
        for source, path in zip(sources, made, strict=True):
            if path.startswith(f"{self.results}/{dataset}/documents/"):
                yield dataset, "convert_document", source
        shards, words = "shards" in self.indexes.entry(index), self.indexes.words(index)
        parts = ["chunk_shard", "embed_shard", "build_shard", *["index_words"] * bool(words)]
        for shard in self.indexes.shards(index) if shards else ():
            yield from ((dataset, step, f"{index}.{shard}") for step in parts)
        steps = {
            "join_shards": shards, "chunk_kb": not shards, "embed_chunks": not shards,
            "convert_encoder": self.indexes.encoder(index), "build_chroma": not shards,
            "learn_queries": self.indexes.shift(index), "build_bm25": words and not shards,
            "weigh_words": words and shards, "measure_retrieval": True,
        }  # fmt: skip
        yield from ((dataset, step, index) for step, needed in steps.items() if needed)
