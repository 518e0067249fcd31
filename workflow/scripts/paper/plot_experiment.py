"""Plots an experiment: each seed as a point, their mean and its interval, one panel a measure."""

import json

# Seen apart with any colour vision (Okabe and Ito), and on light as on dark ground.
SEED, MEAN = "#e69f00", "#0072b2"
PANEL, PER_ROW = (3.2, 2.6), 3  # inches; panels


def plot_experiment(claims, measurements, summary, plot, *, experiment):
    """Write the measures that the claims on an experiment show.

    Args:
        claims: JSON of check_claims.
        measurements, summary: CSV of collect_paper.
        plot: SVG to write; its text and axes have the colour of the text around it.
        experiment: its name.
    """
    import math

    import pandas as pd
    from matplotlib.figure import Figure

    from specialist.report.plots import write_svg

    shown = [c["shows"] for c in json.loads(claims.read_text("utf-8"))
             if c["experiment"] == experiment]  # fmt: skip
    points, means = (pd.read_csv(path, dtype={"cell": str}) for path in (measurements, summary))
    points, means = (table[table["experiment"] == experiment] for table in (points, means))
    cells = list(dict.fromkeys(points["cell"]))
    metrics = [metric for metric in dict.fromkeys(sum(shown, [])) if metric in set(means["metric"])]
    # Long names, or many of them, go to the side.
    lying = max(map(len, cells)) > 12 or sum(map(len, cells)) > 36
    numbers = None if lying else _numbers(cells)
    across = numbers or range(len(cells))
    columns = 1 if lying else min(PER_ROW, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    width, height = (7.5, 0.8 + 0.3 * len(cells)) if lying else (PANEL[0] * columns, PANEL[1])
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    for metric, axes in zip(metrics, panels, strict=False):
        own, mean = (table[table["metric"] == metric] for table in (points, means))
        mean = mean.set_index("cell").reindex(cells)
        places = own["cell"].map(dict(zip(cells, across, strict=True)))
        error = [mean["mean"] - mean["low"], mean["high"] - mean["mean"]]
        if lying:
            axes.errorbar(mean["mean"], range(len(cells)), xerr=error, fmt="D", color=MEAN, ms=5)
            axes.scatter(own["value"], places, s=16, color=SEED, zorder=3)
            axes.set_yticks(range(len(cells)), cells)
            axes.invert_yaxis()
        else:
            axes.errorbar(across, mean["mean"], yerr=error, fmt="D-", color=MEAN, ms=5)
            axes.scatter(places, own["value"], s=16, color=SEED, zorder=3)
            if numbers:
                axes.set_xscale("log")
                axes.minorticks_off()
            axes.set_xticks(across, cells, rotation=45 if numbers else 0)
            axes.set_xlabel(experiment.replace("_", " "))
        axes.set_title(metric.replace("_", " "), fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    write_svg(figure, plot)


def _numbers(cells):
    """Cells as numbers for a logarithmic scale; None if some cells do not fit on it."""
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        return None
    return found if min(found) > 0 else None


if "snakemake" in globals():
    from specialist.engine.step import run

    run(plot_experiment, snakemake)
