"""Curves of pretraining: bits per byte of text over time, from its output files."""

import json
import math
from pathlib import Path

from specialist.core.text import read_rows

PARTS = 50  # points of the curve of a base, each the mean of as many batches


def points(losses=None, curve=None, times=None, **files):
    """Yield the points of a curve of pretraining, dicts of "tokens", "bits_per_byte", "file".

    Args:
        losses, files: CSV of `pretrain`, with the other files that `of_batches` needs.
        curve, times: JSONL of `measure_pretraining`; these points have "seconds" too.
    """
    if losses:
        found = of_batches(losses, **files)
        size = max(1, len(found) // PARTS)
        for begin in range(0, len(found) - size + 1, size):
            part = found[begin : begin + size]
            mean = {key: sum(point[key] for point in part) / size for key in part[0]}
            yield mean | {"file": losses}
    for point, time in zip(*map(read_rows, (curve, times)), strict=True) if curve else ():
        yield {**time, "bits_per_byte": point["bits_per_byte"], "file": curve}


def of_batches(losses, stats, pretraining):
    """The loss of each training batch as [{"tokens": seen with it, "bits_per_byte"}].

    Args:
        losses: CSV of `pretrain`, step and loss in nats per token.
        stats: JSON of `tokenize_corpus`, for the tokens of a byte of the training text.
        pretraining: JSON of `pretrain`, for the tokens of a step.
    """
    import pandas as pd

    counts, table = _read(stats)["train"], pd.read_csv(losses)
    bits = table["loss"] * counts["tokens"] / counts["bytes"] / math.log(2)
    tokens = table["step"] * _read(pretraining)["tokens"] / len(table)
    return pd.DataFrame({"tokens": tokens, "bits_per_byte": bits}).to_dict("records")


def figures(losses=None, stats=None, pretraining=None, curve=None, times=None, **_):
    """Yield (cell or None, file, {metric: value}) of a base or of a benchmark.

    Args:
        losses, stats, pretraining, curve, times: as in `points`.
    """
    if losses:
        bits = [point["bits_per_byte"] for point in of_batches(losses, stats, pretraining)]
        tenth = math.ceil(len(bits) / 10)
        for cell, part in (("first tenth", bits[:tenth]), ("last tenth", bits[-tenth:])):
            yield cell, losses, {"bits_per_byte": sum(part) / tenth}
        yield "held out", pretraining, {"bits_per_byte": _read(pretraining)["bits_per_byte"]}
    if curve:
        *_, last = read_rows(curve)
        yield None, curve, {"bits_per_byte": last["bits_per_byte"]}
        *_, last = read_rows(times)
        yield None, times, {"training_seconds": last["seconds"]}


def _read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))
