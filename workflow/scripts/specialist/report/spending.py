"""Time and memory of the steps of a run, from what the engine writes of each of them."""

SMALL = 0.01  # share of all time up to which a step is shown among the small ones


def spent(costs):
    """Steps with their time and memory.

    Args:
        costs: {step, in words: what the engine wrote, a dict in seconds and MB}.

    Returns:
        {"steps", "small" (lists of {"step", "seconds", "memory_mb"}, in the order given),
        "seconds" (of all together), "memory_mb" (the most of any), "machines" (texts)}
    """
    steps = [
        {
            "step": step,
            "seconds": cost["start_s"] + cost["import_s"] + cost["compute_s"],
            "memory_mb": cost["peak_memory_mb"],
        }
        for step, cost in costs.items()
    ]
    total = sum(row["seconds"] for row in steps)
    large = [row for row in steps if row["seconds"] > SMALL * total]
    machines = {_machine(cost["hardware"]) for cost in costs.values()}
    return {
        "steps": large,
        "small": [row for row in steps if row not in large],
        "seconds": total,
        "memory_mb": max((row["memory_mb"] for row in steps), default=0),
        "machines": sorted(machines),
    }


def _machine(hardware):
    return ", ".join(
        [hardware["processor"], f"{hardware['cpus']} cores", *hardware.get("gpus", ())]
    )
