"""Plots a sweep: the tasks solved and the held-out loss by each setting that differs."""

COLOR = "#0072b2"
WIDTH, HEIGHT = 4.2, 2.8  # inches of a panel
MEASURES = {"solved": "share of all tasks solved", "held_out_loss": "held-out loss, nats per token"}
UNSET = "not set"
MOST = 30  # values of a setting that are named below a panel


def plot_sweep(sweep, plot):
    """Write two panels for each setting: the share of all tasks solved, and the held-out loss.

    Each system with a model is a point, with the 95 % interval of the tasks that it solved.
    Positive numbers are on a logarithmic axis. If no setting differs, the panels show the systems
    by name.

    Args:
        sweep: CSV of collect_sweep.
        plot: SVG to write; the same bytes for the same table.
    """
    import pandas as pd

    from specialist.report.axes import make_panels
    from specialist.report.plots import write_svg
    from specialist.report.sweep import FIGURES, NAMES

    table = pd.read_csv(sweep, dtype=str).astype(dict.fromkeys(FIGURES, float))
    rows = table[table["base"].notna()]
    settings = ["base", *(name for name in table if name not in (*NAMES, *FIGURES))]
    shown = [name for name in settings if rows[name].nunique(dropna=False) > 1]
    if not shown:
        shown, rows = ["system"], table
    figure, panels = make_panels(2 * len(shown), 2, (WIDTH, HEIGHT))
    pairs = ((name, measure) for name in shown for measure in MEASURES)
    for axes, (name, measure) in zip(panels, pairs, strict=True):
        _draw(axes, rows[name].fillna(UNSET), rows, measure)
        axes.set_xlabel(name)
        axes.set_ylabel(MEASURES[measure])
    write_svg(figure, plot)


def _draw(axes, cells, rows, measure):
    """Draw a measure of systems by the cells of a setting."""
    from specialist.report.axes import as_numbers, tidy

    values = sorted(set(cells))
    numbers = as_numbers(values)
    places = dict(zip(values, numbers or range(len(values)), strict=True))
    error = None
    if measure == "solved":
        error = [rows["solved"] - rows["low"], rows["high"] - rows["solved"]]
    across = cells.map(places)
    axes.errorbar(across, rows[measure], yerr=error, fmt="o", color=COLOR, ms=4, capsize=2, lw=1)
    if numbers:
        axes.set_xscale("log")
    if len(places) <= MOST:
        axes.minorticks_off()
        axes.set_xticks(list(places.values()), list(places), rotation=45, ha="right")
    elif not numbers:
        axes.set_xticks([])
    axes.margins(x=0.15)
    axes.set_ylim(bottom=0)
    tidy(axes, "y")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(plot_sweep, snakemake)
