"""Collects a run as one table: a row for each system, with the settings that differ."""

import json


def collect_sweep(agent_eval, adapter_figures, costs, sweep, *, settings):
    """Write the table of a sweep.

    Args:
        agent_eval: JSON of collect_eval.
        adapter_figures: JSON of the last training stage of each of `settings.adapters`.
        costs: JSON files that the engine writes, one for each of `settings.steps`.
        sweep: CSV to write; `specialist.report.sweep` says what the columns are.
        settings: `adapters`, names; `steps`, a step and a name each, such as
            "train_lora lora-r16".
    """
    import pandas as pd

    from specialist.report.sweep import rows

    found = zip(settings.adapters, map(_read, adapter_figures), strict=True)
    # A second stage, on preferences, measures before and after it.
    losses = {name: figures.get("after", figures)["held_out_loss"] for name, figures in found}
    spent = dict(zip(settings.steps, map(_read, costs), strict=True))
    # Whole numbers stay whole in a column with gaps.
    table = pd.DataFrame(rows(_read(agent_eval), losses, spent), dtype=object)
    table.to_csv(sweep, index=False)
    print(f"{len(table)} systems")


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(collect_sweep, snakemake)
