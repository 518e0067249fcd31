"""Plots the share of tasks that each system solves, and its failures by class."""

import json

CLASSES = (
    "forbidden_action",
    "acted_unasked",
    "wrong_state",
    "wrong_tool",
    "bad_argument",
    "forgot_context",
    "asked_in_vain",
    "stopped_too_early",
    "missing_fact",
    "retrieval_miss",
    "malformed_turn",
    "step_limit",
    "context_overflow",
)


def plot_systems(agent_eval, plot):
    """Write a bar for each system: tasks solved, with the 95 % interval, and failures by class.

    Args:
        agent_eval: JSON of collect_eval.
        plot: SVG to write; the same bytes for the same figures.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from specialist.report.plots import write_svg

    systems = json.loads(agent_eval.read_text(encoding="utf-8"))["systems"]
    names, rows = list(systems), list(systems.values())
    height = 1.6 + 0.45 * len(rows)
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    solved = [row["success_rate"] for row in rows]
    axes.barh(names, solved, color="#33658a", label="solved")
    end = list(solved)
    for kind, color in zip(CLASSES, matplotlib.colormaps["tab20"].colors, strict=False):
        share = [row["failures"].get(kind, 0) / row["n"] for row in rows]
        if not any(share):
            continue
        axes.barh(names, share, left=end, color=color, label=kind.replace("_", " "))
        end = [a + b for a, b in zip(end, share, strict=True)]
    below, above = zip(
        *(
            (row["success_rate"] - row["ci95"][0], row["ci95"][1] - row["success_rate"])
            for row in rows
        ),
        strict=True,
    )
    axes.errorbar(solved, names, xerr=[below, above], fmt="none", ecolor="#000000", capsize=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the tasks, with the 95 % interval of those solved")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=5, frameon=False, labelcolor="#000000")
    write_svg(figure, plot)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(plot_systems, snakemake)
