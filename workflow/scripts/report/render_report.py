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
        script: JavaScript of the browser of conversations.
        page: HTML to write.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    result = json.loads(agent_eval.read_text(encoding="utf-8"))
    suite, headline = list(read_rows(tasks)), result["headline"]["system"]
    systems = {
        name: (list(read_rows(trace)), list(read_rows(clock)), _outcomes(score))
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


def _outcomes(scores):
    return _read(scores)["outcomes"]


def _plots(curves, stage):
    """{"title", "svg"} of the losses in CSV files."""
    import tempfile
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from specialist.report.plots import write_svg

    found = []
    for path in curves:
        table, name = pd.read_csv(path), path.parent.name
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(table["step"], table["loss"], color="#0072b2", lw=1.2)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("training loss, nats per token")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        with tempfile.TemporaryDirectory() as folder:
            plot = Path(folder, f"loss-{name}.svg")
            write_svg(figure, plot)
            svg = picture(plot.read_text(encoding="utf-8"), plot.stem)
        found.append({"title": f"{stage}, {name}: training loss by step", "svg": svg})
    return found


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
