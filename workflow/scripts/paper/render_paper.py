"""Renders the paper as one self-contained page."""

import json
from collections import Counter

from specialist.core.text import read_rows
from specialist.report import claims as verdicts_of
from specialist.report import metrics, pages
from specialist.report.numbers import picture

ORDER = (
    verdicts_of.SUPPORTED, verdicts_of.NOT_SUPPORTED, verdicts_of.INCONCLUSIVE,
    verdicts_of.UNTESTED,
)  # fmt: skip


def render_paper(
    verdicts, others, summary, samples, pretraining, plots, template, parts_of_pages, page,
    *, paper, about, dataset, columns, seeds, shared,
):  # fmt: skip
    """Write the claims with their verdicts, and a section for each of them.

    Args:
        verdicts: JSON of judge_claims.
        others: the same of other versions, each in a folder of its version's name.
        summary: CSV of collect_paper.
        samples: JSONL of measure_pretraining, one of each benchmark.
        pretraining: JSON of pretrain, of the first seed, or an empty list.
        plots: SVG of plot_experiment or plot_curves, one for each experiment, named after it.
        template: Jinja template of the page.
        parts_of_pages: files that the template includes.
        page: HTML to write.
        paper, dataset: names in the configuration.
        columns: {version: what its verdicts stand under}.
        about: what this version of the paper can show, or an empty text.
        seeds: how many each cell has.
        shared: {part of the experiments: {key: value}}, what is set for all cells.
    """
    import pandas as pd

    claims = _read(verdicts)
    means = pd.read_csv(summary, dtype={"cell": str})
    counts = Counter(claim["verdict"] for claim in claims)
    values = {
        "claims": claims,
        "elsewhere": _elsewhere(claims, others),
        "column": columns[paper],
        "columns": {path.parent.name: columns[path.parent.name] for path in others},
        "counts": {verdict: counts[verdict] for verdict in ORDER},
        "plots": _plots(claims, plots),
        "tables": {
            claim["id"]: _table(means[means["experiment"] == claim["experiment"]], claim["shows"])
            for claim in claims
        },
        "paper": paper,
        "about": about,
        "dataset": dataset,
        "seeds": seeds,
        "shared": shared,
        "samples": {
            "pretraining": _read(pretraining)["samples"] if pretraining else [],
            "benchmark": [row for path in samples for row in read_rows(path)],
        },
    }
    filters = {"settings": settings_text, "metric": metrics.metric, "cells": metrics.cells}
    page.write_text(pages.render(template, parts_of_pages, values, filters), encoding="utf-8")


def settings_text(values):
    """Settings in one line, without groups that hold none."""
    return ", ".join(
        f"{key} ({settings_text(value)})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in values.items()
        if value != {}
    ).replace("_", " ")


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _plots(claims, plots):
    """{id of a claim: SVG of its experiment}; each has ids of its own in the page."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in plots}
    return {claim["id"]: picture(texts[claim["experiment"]], claim["id"]) for claim in claims}


def _elsewhere(claims, others):
    """What other versions found: {id of a claim: {"title", "here", "found": {version: claim}}}."""
    here, rows = {claim["id"] for claim in claims}, {}
    for path in others:
        for claim in _read(path):
            row = {"title": claim["title"], "here": claim["id"] in here, "found": {}}
            rows.setdefault(claim["id"], row)["found"][path.parent.name] = claim
    return rows


def _table(means, names):
    """(names of measures, {cell: {name: {"mean", "low", "high"}}}) of an experiment."""
    kept = [name for name in names if name in set(means["metric"])]
    rows = {cell: {} for cell in means["cell"]}
    for row in means[means["metric"].isin(kept)].to_dict("records"):
        rows[row["cell"]][row["metric"]] = row
    return kept, rows


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_paper, snakemake)
