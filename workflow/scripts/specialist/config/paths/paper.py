"""The files of the paper, and the source files of its figures."""

from pathlib import Path

from specialist.config.experiments import (
    BENCHMARK,
    PRETRAINING,
    QUANTIZATION,
    RETRIEVAL,
    SCALE,
    STACK,
)
from specialist.config.settings.bases import ORIGINS, imported
from specialist.config.settings.systems import UNQUANTIZED


class Paper:
    """Answers the rules' questions about the paper.

    Args:
        config: the configuration with the paper's cells, as `experiments.lay_out` returns it.
        results: folder that the workflow writes to.
        models, indexes, systems, costs: of the same configuration.
    """

    def __init__(self, config, results, models, indexes, systems, costs):
        self.config, self.results = config, results
        self.models, self.indexes, self.systems = models, indexes, systems
        self.costs = costs

    def file(self, name, paper=None):
        """A file of a version of the paper; by default, of the one that the configuration names."""
        return f"{self.results}/paper/{paper or self.config['paper']}/{name}"

    def others(self):
        """Verdicts of other versions that exist already, to show beside those of this version."""
        names = [name for name in self.config["papers"] if name != self.config["paper"]]
        paths = [self.file("verdicts.json", name) for name in names]
        return [path for path in paths if Path(path).is_file()]

    def columns(self):
        """{version: heading of its verdicts in a table}: its name and its base."""
        return {
            name: f"{name}: {', '.join(_origin(entry))}"
            for name, entry in self.config["papers"].items()
        }

    def design(self, experiments):
        """What claims take from this version; see `specialist.report.designs`."""
        paper = self.config["papers"][self.config["paper"]]
        given = paper["claims"]
        if STACK in experiments:
            systems = [self.systems.entry(cell["system"]) for cell in experiments[STACK]]
            kinds = [system["quantization"] for system in systems]
            kind = next(kind for kind in kinds if kind != UNQUANTIZED)
            given = given | {STACK: {"type": kind} | given.get(STACK, {})}
        base = "imported" if "own_base" in paper else "scratch"
        return {"values": given, "over": paper["over"], "base": base}

    def corpus(self, adapter):
        """The named inputs that show what an adapter's base forgot, for `unpack`."""
        _, base = self.models.base_of(adapter)
        known = not imported(base) or base["train_tokens"]
        tokens = "tokens/validation.npy", "tokens/stats.json"
        names = tokens if self.models.corpus(adapter) else ([], [])
        held_out, stats = (name and self.models.base(adapter, name) for name in names)
        frozen = {} if known else self.models.frozen(adapter)
        return {
            "held_out_tokens": held_out,
            "stats": stats,
            "pretraining": self.models.base(adapter, "pretraining.json") if known else [],
            "base": frozen.get("model", []),
            "base_config": frozen.get("config", []),
        }

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
        """The `cells` that are curves of pretraining."""
        kinds = (PRETRAINING, BENCHMARK)
        return [cell for cell in self.cells(experiments) if cell["experiment"] in kinds]

    @staticmethod
    def sources(cells):
        """All files of some cells, sorted."""
        return sorted({path for cell in cells for path in cell["files"].values()})

    def published(self, experiment):
        """The published figures of the paper's benchmarks, for their experiment."""
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
        """Figures of the first base that was pretrained, or an empty list."""
        if PRETRAINING not in experiments:
            return []
        return self._measured(PRETRAINING, experiments[PRETRAINING][0])["pretraining"]

    def scale(self, shape, ending="json"):
        """Measures of models of a shape."""
        return f"{self.results}/paper/scale/{shape}.{ending}"

    def _measured(self, experiment, cell):
        if experiment == RETRIEVAL:
            return {"searches": self.indexes.file(cell["index"], "searches.json")}
        if experiment == SCALE:
            return {"scale": self.scale(cell["shape"])}
        if experiment in (PRETRAINING, BENCHMARK):
            names = {
                PRETRAINING: {
                    "losses": "loss.csv",
                    "stats": "tokens/stats.json",
                    "pretraining": "pretraining.json",
                },
                BENCHMARK: {"curve": "curve.jsonl", "times": "times.jsonl"},
            }[experiment]
            return {key: self.models.base(cell["base"], name) for key, name in names.items()}
        model, system = cell["adapter"] or cell["base"], cell["system"]
        dataset = self.models.dataset(model)
        files = {"scores": self.systems.file(system, "scores.json", dataset)}
        if experiment == QUANTIZATION:
            kind = self.systems.entry(system)["quantization"]
            files["measures"] = self.models.measures(model, kind)
        elif experiment != STACK:
            files["evaluation"] = self.models.adapter(model, "evaluation.json")
            files["cost"] = self.costs.file(dataset, "train_lora", model)
        return files


def _origin(paper):
    """Words for the base of a version."""
    found = [str(value) for key, value in paper.get("own_base", {}).items() if key in ORIGINS]
    return found or ["from scratch"]
