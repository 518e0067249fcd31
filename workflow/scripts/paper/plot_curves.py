"""Plots curves of pretraining: bits per byte by tokens, or by time with the published result."""

# Seen apart with any colour vision (Okabe and Ito), and on light as on dark ground.
COLORS, PUBLISHED = ("#0072b2", "#e69f00", "#009e73", "#cc79a7"), "#d55e00"
SIZE = (7.5, 3.6)  # inches


def plot_curves(curves, plot, *, experiment, published):
    """Write a line for each seed.

    Args:
        curves: CSV of collect_curves.
        plot: SVG to write; its text and axes have the colour of the text around it.
        experiment: its name.
        published: list of dicts "name", "seconds", "bits_per_byte": points beside the curves, by
            time. Without any, the curves are by tokens.
    """
    import pandas as pd
    from matplotlib.figure import Figure

    from specialist.report.plots import write_svg

    table = pd.read_csv(curves, dtype={"cell": str})
    table = table[table["experiment"] == experiment]
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for number, ((cell, seed), line) in enumerate(table.groupby(["cell", "seed"])):
        across = line["seconds"] if published else line["tokens"] / 1e6
        axes.plot(
            across, line["bits_per_byte"],
            color=COLORS[number % len(COLORS)], label=f"{cell}, seed {seed}",
            marker="o" if published else "", ms=4, lw=1.5,
        )  # fmt: skip
    for point in published:
        place = point["seconds"], point["bits_per_byte"]
        axes.plot(*place, "D", color=PUBLISHED, ms=7, label=point["name"])
    axes.set_xlabel("seconds of training" if published else "tokens seen, millions")
    axes.set_ylabel("bits per byte of text")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#000000", alpha=0.12, lw=0.6)
    axes.legend(frameon=False, labelcolor="#000000", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    write_svg(figure, plot)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(plot_curves, snakemake)
