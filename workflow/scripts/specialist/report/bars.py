"""Rows of the bar charts in the page of a run.

A row is a dict of "name", "value" (the length of its bar), "text" (the value in words), and where
there are such "note" (small, below the text), "low" and "high" (the interval), and "bad".
"""

from specialist.report.numbers import number, percent


def solved(systems):
    """The share of tasks that each system solves.

    Args:
        systems: the entry of agent_eval.json.
    """
    return [
        {
            "name": name, "value": row["success_rate"], "low": row["ci95"][0],
            "high": row["ci95"][1], "text": percent(row["success_rate"]),
            "note": f"{100 * row['ci95'][0]:.1f} to {100 * row['ci95'][1]:.1f}",
        }
        for name, row in systems.items()
    ]  # fmt: skip


def added(contributions):
    """What each part adds; see `specialist.report.parts.contributions`."""
    return [
        {
            "name": row["part"], "value": row["value"], "low": row["low"], "high": row["high"],
            "bad": row["value"] < 0, "text": f"{100 * row['value']:+.1f} points",
            "note": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}, "
            f"against {row['without']}",
        }
        for row in contributions
    ]  # fmt: skip


def classes(failures):
    """The number of failed tasks of each class, the most frequent first."""
    ranked = sorted(failures.items(), key=lambda item: -item[1])
    return [
        {"name": _words(why), "value": count, "text": str(count), "bad": True}
        for why, count in ranked
        if count
    ]


def found(variants, key):
    """A share, such as recall_at_1, of each way to search; the last is in use."""
    last = len(variants) - 1
    return [
        {"name": row["variant"] + (" (in use)" if place == last else ""),
         "value": row[key] or 0, "text": percent(row[key])}
        for place, row in enumerate(variants)
    ]  # fmt: skip


def quantised(quantization):
    """Charts of the types of a model, with F16 in the first row.

    Args:
        quantization: the entry of agent_eval.json.

    Returns:
        {"size", "speed", "divergence": rows}; sizes are in bytes, speeds are ratios to F16,
        divergences are in nats per token.
    """
    types = {kind: row for kind, row in quantization.items() if kind != "F16"}
    whole = next(row["bytes"] / row["ratio_to_f16"] for row in quantization.values())
    megabytes = {"F16": whole, **{kind: row["bytes"] for kind, row in types.items()}}
    return {
        "size": [
            {"name": kind, "value": size, "text": f"{number(size / 1e6)} MB",
             "note": f"{percent(size / whole)} of F16"}
            for kind, size in megabytes.items()
        ],
        "speed": [
            {"name": "F16", "value": 1, "text": "1 ×"},
            *({"name": kind, "value": row["speedup_over_f16"],
               "text": f"{number(row['speedup_over_f16'])} ×",
               "note": f"{number(row['tokens_per_second'])} tokens/s"}
              for kind, row in types.items()),
        ],
        "divergence": [
            {"name": "F16", "value": 0, "text": "0"},
            *({"name": kind, "value": max(0, row["kl_mean"]), "text": number(row["kl_mean"]),
               "bad": True}
              for kind, row in types.items()),
        ],
    }  # fmt: skip


def forgetting(found):
    """Bits per byte of general text, of the base and of the adapter's files; [] without any.

    Args:
        found: `forgetting` in agent_eval.json, or None.
    """
    if not found:
        return []
    base = found["base"]
    return [
        {"name": "base, F16", "value": base, "text": number(base)},
        *({"name": f"adapter, {kind}", "value": row["bits_per_byte"],
           "text": number(row["bits_per_byte"]),
           "note": f"{100 * (row['ratio'] - 1):+.1f} % of the base",
           "bad": row["ratio"] > 1}
          for kind, row in found["types"].items()),
    ]  # fmt: skip


def _words(name):
    return name.replace("_", " ")
