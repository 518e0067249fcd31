"""Judges whether a served model acts as the same model in llama.cpp here."""

GATE = "different_actions"


def different(gates):
    """A text for each served system that acts differently.

    Args:
        gates: {name: {"value", "limit", "passed"}}; those of compare_served are
            engine/SYSTEM/different_actions.
    """
    return [
        f"{name.split('/')[1]}: {100 * gate['value']:.1f} % of the actions in the compared tasks "
        "differ from those of the same model in llama.cpp here, more than "
        f"{100 * gate['limit']:.0f} %; its address may serve other weights, another number format "
        "or chat template"
        for name, gate in gates.items()
        if name.startswith("engine/") and name.endswith(GATE) and not gate["passed"]
    ]
