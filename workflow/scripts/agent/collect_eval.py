"""Collects the measures of all stages into results/agent_eval.json and a summary."""

import json

RETRIEVAL = ("recall_at_1", "recall_at_3", "mrr", "n", "variant", "variants")


def collect_eval(
    scores, served, measures, general, source_facts, retrieval, gates, leakage, tasks, schema,
    template, agent_eval, summary,
    *, config, quantizations, general_text, forgotten, stages, engines,
):  # fmt: skip
    """Write the result of a run.

    Args:
        scores: JSON of score for each system, in the order of the configuration.
        served: JSON of run_served for each of `engines`.
        measures: JSON of measure_gguf for each of `quantizations`, of the headline's model.
        general: JSON of measure_general for the headline's base, and for each of `forgotten`.
        source_facts: JSON of dequantize_base for the headline's base, or an empty list.
        retrieval: JSON of measure_retrieval, or an empty list.
        gates: JSON of gates for each of `stages`.
        leakage: JSON of audit_leakage.
        tasks: JSONL of the tasks.
        schema: JSON schema of `agent_eval`.
        template: Jinja template of `summary`.
        agent_eval: JSON to write.
        summary: Markdown to write.
        config: the whole configuration, as `specialist.config.load` completed it.
        quantizations: types of the measures.
        general_text: path of the text of measure_general.
        forgotten: types of the headline's adapter that were measured on general text; none if it
            was not.
        stages: names of the stages that the gates belong to.
        engines: names of the systems whose model another program serves.

    Raises:
        UserError: a scripted system does not solve every task.
    """
    from collections import Counter

    import jsonschema

    from specialist.core.files import sha256
    from specialist.core.hardware import machine
    from specialist.core.text import read_rows
    from specialist.report.engines import different
    from specialist.report.forgetting import compare
    from specialist.report.quantization import judge
    from specialist.report.summary import render

    figures = dict(zip(config["systems"], map(_read, scores), strict=True))
    systems = {name: _system(name, found, config) for name, found in figures.items()}
    for name, path in zip(engines, served, strict=True):
        systems[name]["engine"] = _read(path)
    kinds = Counter(task["kind"] for task in read_rows(tasks))
    headline = systems[config["headline"]]
    searched = (
        _read(retrieval) if retrieval else dict.fromkeys(RETRIEVAL) | {"n": 0, "variants": []}
    )
    passed = {
        f"{stage}/{name}": gate
        for stage, path in zip(stages, gates, strict=True)
        for name, gate in _read(path).items()
    }
    sizes = dict(zip(quantizations, map(_read, measures), strict=True))
    origin = _read(source_facts) if source_facts else None
    kept, warnings = judge(systems, sizes, config, origin)
    warnings += different(passed)
    result = {
        "schema_version": 2,
        "dataset": config["dataset"],
        "suite": {
            "sha256": sha256(tasks),
            "n": kinds.total(),
            "kinds": dict(sorted(kinds.items())),
        },
        "headline": {
            "system": config["headline"],
            "success_rate": headline["success_rate"],
            "ci95": headline["ci95"],
        },
        "systems": systems,
        "retrieval": {key: searched[key] for key in RETRIEVAL},
        "quantization": {kind: _quantization(found) for kind, found in sizes.items()},
        **compare(general_text, [*map(_read, general)], forgotten),
        "gates": passed | _solvable(figures, config) | kept,
        "leakage": _read(leakage),
        "provenance": machine()
        | {"config": config, "stored": {kind: found["stored"] for kind, found in sizes.items()}},
    }
    jsonschema.validate(result, _read(schema))
    text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    agent_eval.write_text(text + "\n", encoding="utf-8")
    summary.write_text(render(template, result, figures, warnings), encoding="utf-8")
    print(*(f"warning: {text}" for text in warnings), sep="\n", end="\n" if warnings else "")
    low, high = headline["ci95"]
    print(f"{config['headline']} solves {headline['success_rate']:.3f} ({low:.3f} to {high:.3f})")


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _system(name, found, config):
    """The entry of a system."""
    from specialist.agent.declining import rates
    from specialist.core.rates import wilson, with_rate

    entry, model = config["systems"][name], found["model"]
    if model:
        adapter = entry.get("adapter")
        base = config["adapters"][adapter]["base"] if adapter else entry["base"]
        model = {"base": base, "adapter": adapter, "quant": entry["quantization"], **model}
    own = ("outcomes", "trials", "turns_on_kb", "finished_rate", "times", "harm", "declining")
    return {
        **{key: value for key, value in found.items() if key not in own},
        **found["times"],
        **{part: found[part] and with_rate(found[part]) for part in ("tasks", "conversations")},
        "harm": {"examples": found["harm"]["examples"]},
        "declining": rates(found["declining"]),
        "model": model,
        "retrieval": "index" in entry,
        "ci95": wilson(found["success"], found["n"]),
    }


def _quantization(found):
    """The entry of a quantised type."""
    quality = (
        "bytes",
        "bits_per_weight",
        "ratio_to_f16",
        "perplexity",
        "kl_mean",
        "same_top_token",
    )
    speed = ("tokens_per_second", "speedup_over_f16")
    return {key: found[key] for key in quality} | {key: found["speed"][key] for key in speed}


def _solvable(figures, config):
    """The gate that the solutions solve all tasks; `score` has checked it before."""
    from specialist.core.gates import check

    gates = {}
    for name, found in figures.items():
        if config["systems"][name].get("policy") == "scripted":
            failed = [f"{task} ({why})" for task, why in found["outcomes"].items() if why]
            value = len(failed) / found["n"]
            hint = f"The solutions of these tasks do not have the expected results: {failed[:10]}"
            named = check(f"system {name}", hint, unsolved_tasks=(value, 0))
            gates[f"{name}/unsolved_tasks"] = named["unsolved_tasks"]
    return gates


if "snakemake" in globals():
    from specialist.engine.step import run

    run(collect_eval, snakemake)
