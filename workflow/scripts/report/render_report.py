"""Renders a run as one self-contained page."""

import json

from specialist.core.text import read_rows
from specialist.report import bars, lines, page, pages, parts, spending


def render_report(
    agent_eval, tasks, traces, times, scores, pretraining, pretraining_losses, adapter_losses,
    adapter_figures, costs, template, parts_of_pages, script, report,
    *, steps,
):  # fmt: skip
    """Write results/report.html.

    Args:
        agent_eval: JSON of collect_eval.
        tasks: JSONL of the suite.
        traces, times, scores: files of run_agent and score, one for each system, in their order.
        pretraining: JSON files of pretrain; none for bases that are taken over.
        pretraining_losses, adapter_losses: CSV files with the columns step and loss.
        adapter_figures: JSON files of train_lora.
        costs: JSON files that the engine writes, one for each of `steps`.
        template: Jinja template of the page.
        parts_of_pages: files that the template includes.
        script: JavaScript of the browser of runs.
        report: HTML to write.
        steps: names of the steps that `costs` belong to.
    """
    result, suite = _read(agent_eval), list(read_rows(tasks))
    headline, names = result["headline"]["system"], list(result["systems"])
    rows = {name: list(read_rows(path)) for name, path in zip(names, traces, strict=True)}
    found = dict(zip(names, map(_read, scores), strict=True))
    clocks = {name: list(read_rows(path)) for name, path in zip(names, times, strict=True)}
    runs = {name: (rows[name], clocks[name], found[name]) for name in names}
    data, left_out = page.conversations(suite, runs, headline)
    outcomes = {name: score["outcomes"] for name, score in found.items()}
    added = parts.contributions(result["provenance"]["config"], outcomes, headline)
    bare = next((row["without"] for row in added if row["part"] == "the adapter"), None)
    bases = {path.parent.name: _read(path) for path in pretraining}
    code = script.read_text(encoding="utf-8")
    values = {
        **{key: result[key] for key in (
            "headline", "dataset", "suite", "systems", "retrieval", "quantization", "gates",
            "leakage",
        )},
        "forgetting": result.get("forgetting"),
        "failures": sorted({why for row in result["systems"].values() for why in row["failures"]}),
        "by_kind": parts.by_kind(suite, outcomes[headline]),
        "contributions": added,
        "bars": _bars(result, added),
        "reliability": lines.reliability(result["systems"]),
        "plots": [
            *lines.losses(pretraining_losses, bases.values(), "Pretraining"),
            *lines.losses(adapter_losses, map(_read, adapter_figures), "Fine-tuning"),
        ],
        "samples": {name: figures["samples"] for name, figures in bases.items()},
        "turns": parts.first_turns(rows, outcomes, (bare, headline)) if bare else None,
        "spent": spending.spent(dict(zip(steps, map(_read, costs), strict=True))),
        "provenance": _provenance(result),
        "configuration": json.dumps(
            result["provenance"]["config"], indent=1, ensure_ascii=False
        ),
        "data": data,
        "left_out": left_out,
        "script": code,
        "script_hash": pages.script_hash(code),
    }  # fmt: skip
    report.write_text(pages.render(template, parts_of_pages, values), encoding="utf-8")


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _bars(result, added):
    """{chart: rows}"""
    mine = result["systems"][result["headline"]["system"]]
    variants = result["retrieval"]["variants"]
    return {
        "solved": bars.solved(result["systems"]),
        "added": bars.added(added),
        "classes": bars.classes(mine["failures"]),
        **{key: bars.found(variants, key) for key in ("recall_at_1", "recall_at_3")},
        "forgetting": bars.forgetting(result.get("forgetting")),
        **(bars.quantised(result["quantization"]) if result["quantization"] else {}),
    }


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
