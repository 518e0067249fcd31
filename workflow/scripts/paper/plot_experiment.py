"""Plots an experiment: each seed as a point, their mean and its interval, one panel a measure."""

import json

from specialist.report import metrics
from specialist.report.axes import as_numbers, make_panels, tidy

# Distinguishable with any colour vision (Okabe and Ito), on light and on dark backgrounds.
SEED, MEAN = "#e69f00", "#0072b2"
PANEL, PER_ROW = (3.6, 3.0), 2  # inches; panels
ROW, WIDTH = 0.32, 7.2  # inches: height of a category, width of its panel


def plot_experiment(claims, measurements, summary, plot, *, experiment):
    """Write the measures that the claims on an experiment show.

    Numbers are on a logarithmic axis and joined by a line. Categories have a row each, and no
    line, because nothing lies between them.

    Args:
        claims: JSON of check_claims.
        measurements, summary: CSV of collect_paper.
        plot: SVG to write; its text and axes have the colour of the text around it.
        experiment: its name.
    """
    import pandas as pd

    from specialist.report.plots import write_svg

    shown = [c["shows"] for c in json.loads(claims.read_text("utf-8"))
             if c["experiment"] == experiment]  # fmt: skip
    points, means = (pd.read_csv(path, dtype={"cell": str}) for path in (measurements, summary))
    points, means = (table[table["experiment"] == experiment] for table in (points, means))
    cells = list(dict.fromkeys(points["cell"]))
    names = [name for name in dict.fromkeys(sum(shown, [])) if name in set(means["metric"])]
    numbers = as_numbers(cells)
    columns = min(PER_ROW, len(names)) if numbers else 1
    size = PANEL if numbers else (WIDTH, 0.75 + ROW * len(cells))
    figure, panels = make_panels(len(names), columns, size)
    places = dict(zip(cells, numbers or range(len(cells)), strict=True))
    for name, axes in zip(names, panels, strict=False):
        own, mean = (table[table["metric"] == name] for table in (points, means))
        draw = _by_number if numbers else _by_category
        draw(axes, own, mean.set_index("cell").reindex(cells), places, metrics.metric(name))
        if numbers:
            axes.set_xlabel(metrics.cells(experiment))
    write_svg(figure, plot)


def _by_number(axes, own, mean, places, metric):
    """Draw a measure by a number, such as the rank."""
    scale = metric.scale
    error = [scale * (mean["mean"] - mean["low"]), scale * (mean["high"] - mean["mean"])]
    across = list(places.values())
    axes.errorbar(across, scale * mean["mean"], yerr=error, fmt="D-", color=MEAN, ms=5, capsize=3)
    axes.scatter(own["cell"].map(places), scale * own["value"], s=16, color=SEED, zorder=3)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(across, list(places), rotation=45)
    axes.set_ylabel(metric.title)
    tidy(axes, "y")


def _by_category(axes, own, mean, places, metric):
    """Draw a measure of categories, such as types, one below the other."""
    scale, rows = metric.scale, range(len(places))
    error = [scale * (mean["mean"] - mean["low"]), scale * (mean["high"] - mean["mean"])]
    axes.errorbar(scale * mean["mean"], rows, xerr=error, fmt="D", color=MEAN, ms=5, capsize=3)
    axes.scatter(scale * own["value"], own["cell"].map(places), s=16, color=SEED, zorder=3)
    axes.set_yticks(rows, list(places))
    axes.invert_yaxis()
    axes.set_xlabel(metric.title)
    tidy(axes, "x")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(plot_experiment, snakemake)
