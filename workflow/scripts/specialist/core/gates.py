"""Gates between stages: the run stops if a figure exceeds its limit."""

from specialist.core.errors import UserError


def check(stage, hint, **figures):
    """Compare figures with their limits.

    Args:
        stage: what was checked, in words for the message.
        hint: what the reader can do when a gate fails.
        figures: name -> (value, limit); a value above its limit (or not a number) fails.

    Returns:
        dict: name -> {"value", "limit", "passed"}.

    Raises:
        UserError: a gate failed; the message holds the stage and the figures.
    """
    gates = {
        name: {"value": value, "limit": limit, "passed": bool(value <= limit)}
        for name, (value, limit) in figures.items()
    }
    failed = [
        f"{name} is {gate['value']:.6g}, the limit is {gate['limit']:.6g}"
        for name, gate in gates.items()
        if not gate["passed"]
    ]
    if failed:
        raise UserError(f"gate failed: {stage}: {'; '.join(failed)}. {hint}")
    return gates
