"""Compares a released system with the baselines of its run."""


def notice(scores, baselines):
    """A warning about a useless system, or None.

    Args:
        scores: dict with "success" (solved cases) and "n" (all cases).
        baselines: {name of a system: its scores}: random policies, and the base before its adapter
            was trained.
    """
    solved = f"this model solves {scores['success']} of {scores['n']} held-out cases"
    if not scores["success"]:
        return f"{solved}. Do not use it."
    rate = scores["success"] / scores["n"]
    better = [
        f"the baseline {name} ({other['success']} of {other['n']})"
        for name, other in baselines.items()
        if rate < 1 and other["success"] / other["n"] >= rate
    ]
    if not better:
        return None
    return f"{solved}, no more than {' and '.join(better)}. Do not use it."
