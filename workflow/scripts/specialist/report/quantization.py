"""Judges whether quantised files keep what the adapter learned."""

from specialist.report.twins import twins

UNQUANTIZED = "F16"


def judge(systems, measures, config, origin):
    """Compare quantised systems with the same systems in F16, and quantised files with the base.

    Rounding can remove most of an adapter's update: the file is then closer to the base than to
    the model that it was made of.

    Args:
        systems: {name: entry of `systems` in agent_eval.json}.
        measures: {type: output of measure_gguf}, of the headline's model.
        config: the configuration, with `systems`, `headline` and `lost_tasks`.
        origin: output of dequantize_base for the headline's base, or None.

    Returns:
        ({name of a gate: {"value", "limit", "passed"}}, list of texts: each file that failed one,
        with the cause and the types that pass)
    """
    gates, lost, back = {}, {}, {}
    entries, limit = config["systems"], config["lost_tasks"]
    for name, twin in twins(entries, UNQUANTIZED):
        share = systems[twin]["success_rate"] - systems[name]["success_rate"]
        gates[f"quantize/{name}/lost_tasks"] = _gate(share, limit)
        if share > limit:
            lost[name] = share
    for kind, found in measures.items():
        if found["base_kl_mean"] is None:
            continue
        ratio = found["kl_mean"] / max(found["base_kl_mean"], 1e-9)
        gates[f"quantize/{kind}/kl_to_f16_over_kl_to_base"] = _gate(ratio, 1)
        if ratio > 1:
            back[kind] = found
    failed = {*back, *(entries[name]["quantization"] for name in lost)}
    would_do = sorted((measures[k]["bytes"], k) for k in measures if k not in failed)
    advice = (
        f"these measured types pass: {', '.join(kind for _, kind in would_do)}"
        if would_do
        else "no measured type passes: add Q8_0 or types with an importance matrix (_IMATRIX)"
    )
    headline = entries[config["headline"]].get("adapter")
    texts = []
    for name, share in lost.items():
        kind = entries[name]["quantization"]
        own = measures.get(kind) if entries[name].get("adapter") == headline else None
        cause = f": {_cause(kind, own, origin)}" if own else ""
        texts.append(
            f"{name} loses {100 * share:.1f} points of its tasks against F16, more than "
            f"`lost_tasks` allows ({100 * limit:.1f}){cause}; {advice}"
        )
    told = {entries[name]["quantization"] for name in lost}
    for kind, found in back.items():
        if kind not in told:
            texts.append(f"{kind}: {_cause(kind, found, origin)}; {advice}")
    return gates, texts


def _gate(value, limit):
    return {"value": value, "limit": limit, "passed": bool(value <= limit)}


def _cause(kind, found, origin):
    """Why a type loses tasks, as far as its measures tell."""
    here, base = found["kl_mean"], found["base_kl_mean"]
    if base is None or here <= base:
        return f"rounding moved its predictions by {here:.3g} nats per token"
    same = {*(origin or {}).get("types", ())} & {*found["stored"]}
    grid = f", whose own file is in {' and '.join(sorted(same))} too" if same else ""
    return (
        f"rounding moved it back to the base{grid} (KL {here:.3g} nats per token to its own F16, "
        f"{base:.3g} to the base)"
    )
