"""Collects what was measured in all cells of the paper into tables."""

import json
from pathlib import Path

COST = {"compute_s": "training_seconds", "peak_memory_mb": "peak_memory_mb"}


def collect_paper(sources, measurements, outcomes, summary, *, cells):
    """Write one row for each number, with the file that it stands in.

    Args:
        sources: all files that the cells name.
        measurements: CSV to write: experiment, cell, seed, metric, value, file.
        outcomes: CSV to write: experiment, cell, seed, task, solved (0 or 1).
        summary: CSV to write: experiment, cell, metric, n (seeds), mean, low, high (the 95 %
            interval over the seeds).
        cells: list of dicts: "experiment", "cell", "seed" and "files": "scores" and, where there
            are such, "measures" (JSON of measure_gguf), "evaluation" (JSON of evaluate_adapter)
            and "adapter" (beside whose file stands what its training cost).
    """
    import pandas as pd

    from specialist.claims import t_interval

    rows, solved = [], []
    for cell in cells:
        place = {key: cell[key] for key in ("experiment", "cell", "seed")}
        for file, figures in _figures(**cell["files"]):
            rows += [
                {**place, "metric": metric, "value": value, "file": file}
                for metric, value in figures.items()
            ]
        won = _read(cell["files"]["scores"])["outcomes"]
        solved += [{**place, "task": task, "solved": int(not why)} for task, why in won.items()]
    table = pd.DataFrame(rows)
    table.to_csv(measurements, index=False)
    pd.DataFrame(solved).to_csv(outcomes, index=False)
    found = [
        dict(zip(("experiment", "cell", "metric", "n", "mean", "low", "high"),
                 (*names, len(values), *t_interval(values)), strict=True))
        for names, values in table.groupby(["experiment", "cell", "metric"], sort=False)["value"]
    ]  # fmt: skip
    pd.DataFrame(found).to_csv(summary, index=False)
    print(f"{len(cells)} cells, {len(rows)} numbers, {len(solved)} tasks that were tried")


def _figures(scores, measures=None, evaluation=None, adapter=None):
    """Yield (file, {metric: value}) for all that was measured in a cell."""
    yield scores, {"success_rate": _read(scores)["success_rate"]}
    if measures:
        found = _read(measures)
        yield measures, found | found.pop("speed")
    if evaluation:
        yield evaluation, _read(evaluation)
    if adapter:
        cost = f"{adapter}.provenance.json"
        yield cost, {name: _read(cost)[key] for key, name in COST.items()}


def _read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


if "snakemake" in globals():
    from specialist.step import run

    run(collect_paper, snakemake)
