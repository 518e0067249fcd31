"""Collects the measures of all cells of the paper into tables."""

import json
from pathlib import Path

INTERVAL = ("mean", "low", "high")
QUANTIZATION, PAIRED = "quantization", "success_against_F16"
COST = {"compute_s": "training_seconds", "peak_memory_mb": "peak_memory_mb"}


def collect_paper(sources, measurements, outcomes, summary, *, cells):
    """Write one row per number, with its source file.

    Args:
        sources: all files that the cells name.
        measurements: CSV to write: experiment, cell, seed (or number of the round), metric,
            value, file.
        outcomes: CSV to write: experiment, cell, seed, metric, task, value; for what is measured
            task by task.
        summary: CSV to write: experiment, cell, metric, n (seeds), mean, low, high (the 95 %
            interval over the seeds; over the tasks where there is one seed, and for
            success_against_F16: how many more of the same tasks are solved than with F16).
        cells: list of dicts: "experiment", "cell", "seed" and "files": either "searches" (JSON
            of compare_searches) or "scale" (JSON of measure_scale), of several cells each, or
            what `specialist.report.curves.figures` takes, or "scores" and, where there are such,
            "measures" (JSON of measure_gguf), "evaluation" (JSON of evaluate_adapter) and
            "cost" (JSON that the engine writes of a training).
    """
    import pandas as pd

    from specialist.report.claims import SHARES, bootstrap_interval, t_interval
    from specialist.report.curves import figures as of_pretraining

    rows, tried, unquantized = [], [], {}
    for cell in cells:
        place = {key: cell[key] for key in ("experiment", "cell", "seed")}
        for name, file, figures in [*_figures(**cell["files"]), *of_pretraining(**cell["files"])]:
            rows += [
                {**place, "cell": name or cell["cell"], "metric": metric, "value": value,
                 "file": file}
                for metric, value in figures.items()
            ]  # fmt: skip
        for name, metric, file, values in _by_round(**cell["files"]):
            rows += [
                {**place, "cell": name, "seed": seed, "metric": metric, "value": value,
                 "file": file}
                for seed, value in enumerate(values, 1)
            ]  # fmt: skip
        for name, metric, file, values in _by_task(**cell["files"]):
            place["cell"] = name or cell["cell"]
            kinds = {metric: values}
            if cell["experiment"] == QUANTIZATION:  # whose first cell of each seed is F16
                first = unquantized.setdefault(cell["seed"], values)
                kinds[PAIRED] = {task: value - first[task] for task, value in values.items()}
            for metric, values in kinds.items():
                mean = sum(values.values()) / len(values)
                rows.append({**place, "metric": metric, "value": mean, "file": file})
                tried += [
                    {**place, "metric": metric, "task": task, "value": value}
                    for task, value in values.items()
                ]
    table, tasks = pd.DataFrame(rows), pd.DataFrame(tried)
    keys = ["experiment", "cell", "metric"]
    by_task = tasks.groupby([*keys, "task"])["value"].mean()
    found = []
    for names, values in table.groupby(keys, sort=False)["value"]:
        over_tasks = names[-1] == PAIRED or (len(values) == 1 and names in by_task)
        interval = bootstrap_interval(by_task[names]) if over_tasks else t_interval(values)
        if names[-1] in SHARES:  # a symmetric interval may go beyond what is possible
            interval = [min(1, max(0, end)) for end in interval]
        found.append(
            dict(zip((*keys, "n", *INTERVAL), (*names, len(values), *interval), strict=True))
        )
    table.to_csv(measurements, index=False)
    tasks.to_csv(outcomes, index=False)
    pd.DataFrame(found).to_csv(summary, index=False)
    print(f"{len(cells)} cells, {len(table)} numbers, {len(tasks)} of single tasks")
    _warn_of_machines({cell["files"]["cost"] for cell in cells if "cost" in cell["files"]})


def _warn_of_machines(costs):
    machines = {json.dumps(_read(path)["hardware"]) for path in costs}
    if len(machines) > 1:
        print("warning: trainings ran on several machines, so their times do not compare:")
        print(*sorted(machines), sep="\n")


def _figures(measures=None, evaluation=None, cost=None, **_):
    """Yield (None, file, {metric: value}) for measures of a whole cell."""
    if measures:
        found = _read(measures)
        found |= found.pop("speed")
        yield None, measures, {k: v for k, v in found.items() if isinstance(v, int | float)}
    if evaluation:
        yield None, evaluation, _read(evaluation)
    if cost:
        found = _read(cost)
        yield None, cost, {name: found[key] for key, name in COST.items()}


def _by_round(scale=None, **_):
    """Yield (cell, metric, file, values) for repeated measures."""
    for kind, figures in (_read(scale) if scale else {}).items():
        for metric, values in figures.items():
            name = f"{Path(scale).stem} {kind}"
            yield name, metric, scale, values if isinstance(values, list) else [values]


def _by_task(searches=None, scores=None, **_):
    """Yield (cell or None, metric, file, {task: value}) for measures per task."""
    if scores:
        won = {task: int(not why) for task, why in _read(scores)["outcomes"].items()}
        yield None, "success_rate", scores, won
    for method, metrics in (_read(searches) if searches else {}).items():
        for metric, values in metrics.items():
            yield method, metric, searches, values


def _read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(collect_paper, snakemake)
