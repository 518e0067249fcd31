"""Renders a run as one self-contained page."""

import json

from specialist.core.text import read_rows
from specialist.report import page as pages
from specialist.report.numbers import number, percent, picture


def render_report(
    agent_eval, tasks, traces, times, scores, pretraining, pretraining_losses, adapter_losses,
    template, script, page,
):  # fmt: skip
    """Write results/report.html.

    Args:
        agent_eval: JSON of collect_eval.
        tasks: JSONL of the suite.
        traces, times, scores: files of run_agent and score, one for each system, in their order.
        pretraining: JSON files of pretrain; none for bases that are taken over.
        pretraining_losses, adapter_losses: CSV files with the columns step and loss.
        template: Jinja template of the page.
        script: JavaScript of the browser of runs.
        page: HTML to write.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    result = json.loads(agent_eval.read_text(encoding="utf-8"))
    suite, headline = list(read_rows(tasks)), result["headline"]["system"]
    systems = {
        name: (list(read_rows(trace)), list(read_rows(clock)), _read(score))
        for name, trace, clock, score in zip(result["systems"], traces, times, scores, strict=True)
    }
    data, left_out = pages.conversations(suite, systems, headline)
    code = script.read_text(encoding="utf-8")
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
    environment.filters |= {
        "number": number, "percent": percent, "words": lambda text: text.replace("_", " "),
    }  # fmt: skip
    failures = sorted({kind for row in result["systems"].values() for kind in row["failures"]})
    config = result["provenance"]["config"]
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        **{key: result[key] for key in (
            "headline", "dataset", "suite", "systems", "retrieval", "quantization", "gates",
            "leakage",
        )},
        failures=failures,
        contributions=pages.contributions(config, result["systems"], headline),
        reliability=_reliability(result["systems"]),
        plots=[*_plots(pretraining_losses, "Pretraining"), *_plots(adapter_losses, "LoRA")],
        samples={path.parent.name: _read(path)["samples"] for path in pretraining},
        provenance=_provenance(result),
        data=data,
        left_out=left_out,
        script=code,
        script_hash=pages.script_hash(code),
    )  # fmt: skip
    page.write_text(text, encoding="utf-8")


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _plots(curves, stage):
    """{"title", "svg"} of the losses in CSV files."""
    import pandas as pd

    found = []
    for path in curves:
        table, name = pd.read_csv(path), path.parent.name
        figure, axes = _axes("optimizer step", "training loss, nats per token")
        axes.plot(table["step"], table["loss"], color="#0072b2", lw=1.2)
        svg = _svg(figure, f"loss-{name}")
        found.append({"title": f"{stage}, {name}: training loss by step", "svg": svg})
    return found


def _reliability(systems):
    """SVG of pass^k by k, a line for each system with several trials; None without any."""
    figure, axes = _axes("k", "pass^k")
    for name, row in systems.items():
        found = (row["conversations"] or {}).get("pass_hat_k", {})
        points = [(int(k), value) for k, value in found.items() if value is not None]
        if len(points) > 1:
            axes.plot(*zip(*points, strict=True), marker="o", lw=1.2, label=name)
    if not axes.lines:
        return None
    axes.set_ylim(0, 1)
    axes.set_xticks(range(1, 5))
    figure.legend(loc="outside right", frameon=False, labelcolor="#000000")
    return _svg(figure, "reliability")


def _axes(x, y):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure, name):
    import tempfile
    from pathlib import Path

    from specialist.report.plots import write_svg

    with tempfile.TemporaryDirectory() as folder:
        plot = Path(folder, f"{name}.svg")
        write_svg(figure, plot)
        return picture(plot.read_text(encoding="utf-8"), name)


def _provenance(result):
    """{name: text} of what made the result."""
    made, hardware = result["provenance"], result["provenance"]["hardware"]
    gpus = ", ".join(hardware["gpus"]) or "no GPU"
    return {
        "Machine": f"{hardware['processor']}, {hardware['cpus']} cores, "
        f"{hardware['memory_gb']} GB of memory, {gpus}, {hardware['system']}",
        "Software": ", ".join(
            f"{name} {version}"
            for name, version in {"Python": made["python"], **made["packages"]}.items()
        ),
        "Suite": f"SHA-256 {result['suite']['sha256']}",
        **{
            f"Model of {name}": f"SHA-256 {row['model']['sha256']}, {row['model']['bytes']:,} bytes"
            for name, row in result["systems"].items()
            if row["model"]
        },
    }


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_report, snakemake)
