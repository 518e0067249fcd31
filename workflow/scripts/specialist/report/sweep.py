"""A sweep as a table: a row for each system, with the settings in which the systems differ."""

from specialist.report.spending import spent
from specialist.report.twins import identity

# Columns that every table has before and after the settings that differ.
NAMES = ("system", "adapter", "base")
PARTS = {"": None, "tasks_": "tasks", "conversations_": "conversations"}
FIGURES = (
    "held_out_loss",
    *(f"{part}{name}" for part in PARTS for name in ("n", "solved", "low", "high")),
    "harm_per_100_tasks", "harm_per_100_conversations", "bytes", "training_seconds",
    "training_memory_mb", "pretraining_seconds", "agent_memory_mb",
)  # fmt: skip
ADAPTED, PRETRAINED = ("train_lora", "train_dpo"), ("pretrain", "continue_pretraining")


def rows(result, losses, costs):
    """A row for each system of a result.

    Args:
        result: agent_eval.json as a dict.
        losses: {adapter: loss of its held-out conversations, in nats per token}.
        costs: {step and name: what the engine wrote of the step}, such as "train_lora lora-r16",
            of the steps in `specialist.config.paths.costs.COMPARED`.

    Returns:
        list of dicts, all with the same keys: NAMES, then the settings that differ, then FIGURES.
        A value is None where a system has none. Times are in seconds, memory is in MB.
    """
    config = result["provenance"]["config"]
    settings = differing(config)
    return [
        {
            **dict.fromkeys(NAMES),
            "system": name,
            **_model(config, name),
            **{key: values.get(name) for key, values in settings.items()},
            **_figures(name, system, _model(config, name), losses, costs),
        }
        for name, system in result["systems"].items()
    ]


def differing(config):
    """{setting: {system: value}} of the settings that have several values in a run.

    Settings of a system and of its adapter have their own name, those of its base begin with
    "base.". A setting that is not set is a value too: a system without an index differs from one
    with an index. The number of trials is left out: the figures are those of the first. Policies
    have no settings.

    Args:
        config: a loaded configuration.
    """
    groups = {}
    for name, entry in config["systems"].items():
        model = _model(config, name)
        if not model:
            continue
        own = {key: value for key, value in identity(entry).items() if key not in NAMES}
        groups.setdefault("system", {})[name] = own
        if model["adapter"]:
            given = dict(config["adapters"][model["adapter"]])
            given.pop("base")
            groups.setdefault("adapter", {})[name] = given
        base = config["bases"][model["base"]].items()
        groups.setdefault("base", {})[name] = {f"base.{key}": value for key, value in base}
    found = {}
    for named in groups.values():
        flat = {name: dict(_flat(entry)) for name, entry in named.items()}
        for key in dict.fromkeys(key for entry in flat.values() for key in entry):
            values = {name: entry.get(key) for name, entry in flat.items()}
            if len(set(values.values())) > 1:
                found[key] = values
    return found


def _model(config, system):
    """{"adapter", "base"} of a system with a model; {} for a policy."""
    entry = config["systems"][system]
    adapter = entry.get("adapter")
    base = config["adapters"][adapter]["base"] if adapter else entry.get("base")
    return {"adapter": adapter, "base": base} if base else {}


def _flat(entry, before=""):
    """Yield (key, value); the keys of a dict inside are joined by dots, items of a list by "-"."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield f"{before}{key}", True
            yield from _flat(value, f"{before}{key}.")
        else:
            joined = "-".join(map(str, value)) if isinstance(value, list) else value
            yield f"{before}{key}", joined


def _figures(name, system, model, losses, costs):
    """{column: value} of what a system reached and cost."""
    found = dict.fromkeys(FIGURES) | {"held_out_loss": losses.get(model.get("adapter"))}
    for part, key in PARTS.items():
        counts = system[key] if key else system
        if counts:
            low, high = counts["ci95"]
            values = (counts["n"], counts["success_rate"], low, high)
            names = (f"{part}{column}" for column in ("n", "solved", "low", "high"))
            found |= dict(zip(names, values, strict=True))
            if key:
                found[f"harm_per_100_{key}"] = counts["harm_per_100"]
    if system["model"]:
        found["bytes"] = system["model"]["bytes"]
    trained = _spent(costs, ADAPTED, model.get("adapter"))
    if trained:
        found |= {
            "training_seconds": trained["seconds"],
            "training_memory_mb": trained["memory_mb"],
        }
    if pretrained := _spent(costs, PRETRAINED, model.get("base")):
        found["pretraining_seconds"] = pretrained["seconds"]
    if ran := _spent(costs, ("run_agent",), name):
        found["agent_memory_mb"] = ran["memory_mb"]
    return found


def _spent(costs, steps, name):
    """Time and memory of some steps of an entry together; None if it has none of them."""
    keys = (f"{step} {name}" for step in steps)
    mine = {key: costs[key] for key in keys if key in costs}
    return spent(mine) if mine else None
