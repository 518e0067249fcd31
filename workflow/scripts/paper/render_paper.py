"""Renders the paper as one self-contained page."""

import json

from specialist.core.text import read_rows
from specialist.report.claims import SHARES
from specialist.report.numbers import number, picture


def render_paper(
    verdicts, summary, samples, pretraining, plots, template, page,
    *, paper, dataset, seeds, shared,
):  # fmt: skip
    """Write the claims with their verdicts, and a section for each of them.

    Args:
        verdicts: JSON of judge_claims.
        summary: CSV of collect_paper.
        samples: JSONL of measure_pretraining, one of each benchmark.
        pretraining: JSON of pretrain, of the first seed.
        plots: SVG of plot_experiment or plot_curves, one for each experiment, named after it.
        template: Jinja template of the page.
        page: HTML to write.
        paper, dataset: names in the configuration.
        seeds: how many each cell has.
        shared: {part of the experiments: {key: value}}, what is set for all cells.
    """
    import pandas as pd
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
    environment.filters |= {"number": figure, "settings": settings_text}
    claims = json.loads(verdicts.read_text(encoding="utf-8"))
    means = pd.read_csv(summary, dtype={"cell": str})
    pictures = {path.stem: picture(path.read_text(encoding="utf-8"), path.stem) for path in plots}
    tables = {
        claim["id"]: _table(means[means["experiment"] == claim["experiment"]], claim["shows"])
        for claim in claims
    }
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        claims=claims,
        plots=pictures,
        tables=tables,
        paper=paper,
        dataset=dataset,
        seeds=seeds,
        shared=shared,
        samples={
            "pretraining": json.loads(pretraining.read_text(encoding="utf-8"))["samples"],
            "benchmark": [row for path in samples for row in read_rows(path)],
        },
    )
    page.write_text(text, encoding="utf-8")


def figure(value, metric=""):
    """A number for people; a share in percent."""
    if metric in SHARES and value is not None and value == value:
        return f"{value:.1%}"
    return number(value)


def settings_text(values):
    """Settings in one line, without groups that hold none."""
    return ", ".join(
        f"{key} ({settings_text(value)})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in values.items()
        if value != {}
    ).replace("_", " ")


def _table(means, metrics):
    """(metrics, {cell: {metric: {"mean", "low", "high"}}}) of an experiment."""
    kept = [metric for metric in metrics if metric in set(means["metric"])]
    rows = {cell: {} for cell in means["cell"]}
    for row in means[means["metric"].isin(kept)].to_dict("records"):
        rows[row["cell"]][row["metric"]] = row
    return kept, rows


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_paper, snakemake)
