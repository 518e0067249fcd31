"""Collects the curves of pretraining into one table."""


def collect_curves(sources, curves, *, cells):
    """Write one row per point of a curve, with its source file.

    Args:
        sources: all files that the cells name.
        curves: CSV to write: experiment, cell, seed, tokens (seen until then), bits_per_byte,
            file, seconds (of training until then; of benchmarks).
        cells: list of dicts: "experiment", "cell", "seed" and "files"; see
            `specialist.report.curves.points`.
    """
    import pandas as pd

    from specialist.report.curves import points

    rows = [
        {**{key: cell[key] for key in ("experiment", "cell", "seed")}, **point}
        for cell in cells
        for point in points(**cell["files"])
    ]
    pd.DataFrame(rows).to_csv(curves, index=False)
    print(f"{len(cells)} curves, {len(rows)} points")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(collect_curves, snakemake)
