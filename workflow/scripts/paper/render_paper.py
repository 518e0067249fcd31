"""Renders the paper: one page that needs nothing from elsewhere."""

import json
import re

from specialist.core.text import read_rows
from specialist.report.claims import SHARES


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
    environment.filters |= {"number": number, "settings": settings_text}
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


def number(value, metric=""):
    """A number for people; a dash for one that is not there."""
    if value is None or value != value:
        return "–"
    if metric in SHARES:
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def settings_text(values):
    """Settings in one line, without groups that hold none."""
    return ", ".join(
        f"{key} ({settings_text(value)})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in values.items()
        if value != {}
    ).replace("_", " ")


def picture(svg, name):
    """An SVG to stand in a page: without prologue, and with ids of its own.

    Two pictures of one page may hold the same ids, and a reference takes the first.
    """
    svg = svg[svg.index("<svg") :]
    for own in set(re.findall(r'\bid="([^"]+)"', svg)):
        svg = re.sub(rf'(id="|url\(#|href="#){re.escape(own)}(?=["\)])', rf"\g<1>{name}-{own}", svg)
    size = r'\b(width|height)="[\d.]+pt" '
    return re.sub(size, "", svg, count=2)


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
