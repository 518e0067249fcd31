"""The files of the systems that are compared, and of the result."""

import json
from pathlib import Path

from specialist.config.paths.entries import entry
from specialist.config.settings.bases import imported
from specialist.config.settings.systems import UNQUANTIZED
from specialist.core import engines
from specialist.core.errors import UserError


class Systems:
    """Answers the rules' questions about systems.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
        datasets, models, indexes: of the same configuration.
    """

    def __init__(self, config, results, datasets, models, indexes):
        self.config, self.results = config, results
        self.datasets, self.models, self.indexes = datasets, models, indexes
        self._identities = {}

    def entry(self, system):
        return entry(self.config, "systems", system)

    def model(self, system):
        """Name of the adapter or base that this run makes for a system, or None."""
        given = self.entry(system)
        return (given.get("adapter") or given.get("base")) if self._made(given) else None

    def _made(self, given):
        """Whether this run makes the model of a system's entry; a served one is only compared."""
        return "engine" not in given or "quantization" in given

    def served(self):
        """Names of the systems whose model another program serves."""
        return [name for name, given in self.config["systems"].items() if "engine" in given]

    def engine(self, system):
        """What a step needs to know about the program that serves a system's model."""
        given = self.entry(system)["engine"]
        return {name: given[name] for name in ("url", "model", "key")}

    def identity(self, system, dataset):
        """What the address of a served system reports about its model.

        If it does not answer now, this is its report of the last run: nothing needs to run
        again. None without one.
        """
        key = system, dataset
        if key not in self._identities:
            given = self.engine(system)
            try:
                found = engines.identity(
                    f"systems.{system}.engine", given["url"].rstrip("/"), given["model"],
                    key=given["key"], tries=1, seconds=3,
                )  # fmt: skip
            except UserError:
                found = self._last_identity(system, dataset)
            self._identities[key] = found
        return self._identities[key]

    def _last_identity(self, system, dataset):
        given, path = self.engine(system), Path(self.file(system, "served.json", dataset))
        try:
            last = json.loads(path.read_text(encoding="utf-8"))
            same = (last["url"], last["model"]) == (given["url"].rstrip("/"), given["model"])
            return last["identity"] if same else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def prompting(self, system):
        """The named inputs of a served system, for `unpack`: its tokenizer and its search."""
        given = self.entry(system)
        search = self.indexes.search(given.get("index"))
        return {**self.models.tokenizer(given.get("adapter") or given.get("base")), **search}

    def gguf(self, system):
        """A system's GGUF, or an empty list for a policy."""
        model = self.model(system)
        return (
            self.models.gguf(model, f"{self.entry(system)['quantization']}.gguf") if model else []
        )

    def runs(self, system):
        """The GGUF that a system runs here; an empty list for a policy or a served model."""
        return [] if "engine" in self.entry(system) else self.gguf(system)

    def inputs(self, system):
        """The named inputs of what a system runs with, for `unpack`."""
        search = self.indexes.search(self.entry(system).get("index"))
        return {"gguf": self.gguf(system), **search}

    def tools(self, system, dataset):
        """The tools that a system may use: a path, or an empty list."""
        return self.datasets.file(dataset, "tools") if self.entry(system)["tools"] else []

    def database(self, system, dataset):
        """The database that a system's tools work on: a path, or an empty list."""
        return self.datasets.file(dataset, "database") if self.tools(system, dataset) else []

    def rules(self, system):
        """Whether the tools' rules hold for a system."""
        return self.entry(system).get("rules", self.config["agent"]["rules"])

    def prompt(self, system):
        """The template of a system's prompt."""
        return self.entry(system).get("prompt", self.config["agent"]["prompt"])

    def baselines(self, system, dataset):
        """Scores of the systems that a released one should beat.

        They are the random policies, and the systems that run the base of its adapter here: a
        release does not wait for a program that serves a model.
        """
        adapter = self.entry(system).get("adapter")
        base = self.models.base_of(adapter)[0] if adapter else None
        return [
            self.file(name, "scores.json", dataset)
            for name, other in self.config["systems"].items()
            if "engine" not in other
            and (other.get("policy") == "random" or (base and other.get("base") == base))
        ]

    def file(self, system, name, dataset=None):
        """A file below a system's folder; by default, of the evaluation."""
        return f"{self.results}/{dataset or self.config['dataset']}/agent/{system}/{name}"

    def each(self, name):
        """A file below the folder of each system, in their order."""
        return [self.file(system, name) for system in self.config["systems"]]

    def pretrained(self, name):
        """A file beside each base that the systems use and that was pretrained here."""
        models = [*self.used("adapter"), *self.used("base")]
        bases = {self.models.base_of(model)[0]: self.models.base_of(model)[1] for model in models}
        return [self.models.base(base, name) for base in bases if not imported(bases[base])]

    def adapted(self, name):
        """A file beside each adapter that the systems use."""
        return [self.models.adapter(adapter, name) for adapter in self.used("adapter")]

    def used(self, key):
        """Names that the systems have under a key (adapter, base or index), each once.

        Models that this run does not make are left out.
        """
        every = self.config["systems"].values()
        given = [system for system in every if key == "index" or self._made(system)]
        return list(dict.fromkeys(system[key] for system in given if key in system))

    def searches(self, dataset):
        """Whether agents that are trained on a dataset can search; their prompt says so."""
        given = self.config["systems"].values()
        adapters = self.config["adapters"]
        own = [s for s in given if adapters.get(s.get("adapter"), {}).get("dataset") == dataset]
        return any("index" in system for system in own) or not own

    def training(self):
        """All prepared data that a model or an index of any system learned from."""
        adapters = self.used("adapter")
        bases = {self.models.base_of(name)[0] for name in [*adapters, *self.used("base")]}
        pretrained = [self.config["bases"][name] for name in bases]
        corpora = {given["dataset"] for given in pretrained if given["train_tokens"]}
        learned = [name for name in self.used("index") if self.indexes.shift(name)]
        chats = {self.config["adapters"][name]["dataset"] for name in adapters}
        chats |= {self.indexes.entry(name)["dataset"] for name in learned}
        names = [(name, "corpus") for name in corpora] + [(name, "sft") for name in chats]
        halves = [path for name in sorted(names) for path in self.datasets.splits(*name)]
        return halves + [
            path
            for name in sorted(adapters)
            for path in [*self.models.practice(name), *self.models.general_rows(name)]
        ]

    def gates(self):
        """{stage: file of its gates} of all models and indexes of a system."""
        models = dict.fromkeys(filter(None, map(self.model, self.config["systems"])))
        compared = [name for name in self.served() if self.model(name)]
        found = {stage: path for name in models for stage, path in self.models.gates(name).items()}
        indexes = {
            f"index/{name}": self.indexes.file(name, "gate.json") for name in self.used("index")
        }
        served = {f"engine/{name}": self.file(name, "engine_gate.json") for name in compared}
        return found | indexes | served

    def headline_model(self):
        """The base or adapter of the headline system, or None for a policy."""
        return self.model(self.config["headline"])

    def measured(self):
        """Quantised types of the headline's model."""
        return self.config["quantizations"] if self.headline_model() else []

    def measures(self):
        """Measures of each of the `measured` types."""
        return [self.models.measures(self.headline_model(), kind) for kind in self.measured()]

    def forgotten(self):
        """Types in which the headline's adapter is measured on general text."""
        forgets = self.models.forgets(self.headline_model())
        return [UNQUANTIZED, *self.measured()] if forgets else []

    def general(self):
        """Measures on general text: of the headline's base in F16, and of `forgotten`."""
        model, kinds = self.headline_model(), self.forgotten()
        before = [self.models.general(self.models.base_of(model)[0], UNQUANTIZED)] if kinds else []
        return before + [self.models.general(model, kind) for kind in kinds]

    def retrieval(self):
        """Measure of the index that the headline searches, or an empty list."""
        index = self.entry(self.config["headline"]).get("index")
        return self.indexes.file(index, "retrieval.json") if index else []
