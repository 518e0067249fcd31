"""Collects what large models cost, with the machine on which that was measured."""

import json


def collect_scale(measures, scale, *, shapes):
    """Write one JSON: "machine" (see `specialist.step.machine`) and "shapes".

    Args:
        measures: JSON of measure_scale for each of `shapes`.
        scale: JSON to write.
        shapes: their names.
    """
    from specialist.step import machine

    found = {
        name: json.loads(path.read_text()) for name, path in zip(shapes, measures, strict=True)
    }
    scale.write_text(json.dumps({"machine": machine(), "shapes": found}, indent=1) + "\n")


if "snakemake" in globals():
    from specialist.step import run

    run(collect_scale, snakemake)
