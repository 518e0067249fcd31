"""The source files of the paper's figures."""

from specialist.config.experiments import (
    BENCHMARK,
    PRETRAINING,
    QUANTIZATION,
    RETRIEVAL,
    SCALE,
    STACK,
)


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
        """Figures of the first base that was pretrained."""
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
