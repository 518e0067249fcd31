"""Line plots of the page of a run, as SVG that takes its colours from the page."""

import tempfile
from pathlib import Path

from specialist.report.numbers import number, picture
from specialist.report.plots import write_svg

SIZE = (5.2, 3.0)  # inches; the page shows it at this width on a phone
# Distinguishable with any colour vision (Okabe and Ito), on light and on dark backgrounds.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
WINDOW = 50  # a curve is smoothed over as many parts of it


def losses(curves, held_out, stage):
    """Plots of the training loss.

    Args:
        curves: CSV files with the columns step and loss (nats per token).
        held_out: JSON files with "held_out_loss", one for each curve, as dicts.
        stage: "Pretraining" or "LoRA".

    Returns:
        list of {"title", "svg"}
    """
    import pandas as pd

    found = []
    for path, figures in zip(curves, held_out, strict=True):
        table, name, at_end = pd.read_csv(path), path.parent.name, figures["held_out_loss"]
        figure, axes = _axes("optimizer step", "loss, nats per token")
        axes.plot(table["step"], table["loss"], color=COLORS[0], lw=0.8, alpha=0.35)
        window = max(1, len(table) // WINDOW)
        smooth = table["loss"].rolling(window, min_periods=1, center=True).mean()
        axes.plot(table["step"], smooth, color=COLORS[0], lw=1.8, label="training")
        label = f"held out, at the end: {number(at_end)}"
        axes.axhline(at_end, color=COLORS[5], lw=1.4, ls="--", label=label)
        axes.set_xlim(0, table["step"].max())
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor="#000000", fontsize="small")
        first, last = number(smooth.iloc[0]), number(smooth.iloc[-1])
        title = f"{stage} of {name}: the training loss goes from {first} to {last}"
        found.append({"title": title, "svg": _svg(figure, f"loss-{stage}-{name}")})
    return found


def reliability(systems):
    """SVG of pass^k by k, a line for each system with several trials; None without any."""
    figure, axes = _axes("k, number of runs", "chance that all k runs solve it")
    for name, row in systems.items():
        found = (row["conversations"] or {}).get("pass_hat_k", {})
        points = [(int(k), value) for k, value in found.items() if value is not None]
        if len(points) > 1:
            color = COLORS[len(axes.lines) % len(COLORS)]
            axes.plot(*zip(*points, strict=True), marker="o", lw=1.8, label=name, color=color)
    if not axes.lines:
        return None
    axes.set_ylim(0, 1)
    axes.set_xticks(range(1, 5))
    axes.legend(frameon=False, labelcolor="#000000", fontsize="small")
    return _svg(figure, "reliability")


def _axes(x, y):
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#000000", alpha=0.12, lw=0.6)
    return figure, axes


def _svg(figure, name):
    with tempfile.TemporaryDirectory() as folder:
        plot = Path(folder, f"{name}.svg")
        write_svg(figure, plot)
        return picture(plot.read_text(encoding="utf-8"), name)
