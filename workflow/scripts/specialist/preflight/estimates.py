"""The need of a job, by its rule, from the entries of the configuration that it works on.

Each function takes the model's `Architecture`, the job's names (values of its wildcards by their
names), the configuration and a `Machine`, and returns a `Need`.
"""

from specialist.core.shares import shares
from specialist.preflight import lengths, needs

GENERAL = 750  # tokens of a row of mix_general: 1,500 characters at two characters per token


def _entries(names, config):
    """(adapter or None, base) of a job, their entries."""
    adapter = config["adapters"].get(names.get("adapter") or names.get("model"))
    base = adapter["base"] if adapter else names.get("base") or names.get("model")
    return adapter, config["bases"][base]


def _bf16(base, machine):
    return machine.bf16 if base["precision"] == "auto" else base["precision"] == "bf16"


def _pretrain(model, names, config, machine):
    base = config["bases"][names["base"]]
    count = base.get("processes", 1)
    share = base | {"batch_tokens": base["batch_tokens"] // count}
    need = needs.pretraining(model, share, bool(machine.vram), _bf16(base, machine))
    return needs.together(count, need)


def _train(model, names, config, machine):
    adapter, base = _entries(names, config)
    if not adapter["packing"] and (longest := lengths.longest(config, adapter, adapter["base"])):
        longest = max(longest, GENERAL if adapter["mix_general"] else 0)
        adapter = adapter | {"max_length": min(adapter["max_length"], longest)}
    dataset = config["datasets"][adapter["dataset"]]
    rows = adapter.get("examples") or (
        "simulate" in dataset and lengths.simulated_rows(dataset) / (1 - adapter["mix_general"])
    )
    count = adapter.get("processes", 1)
    batch, _ = shares(adapter["batch_size"], adapter["gradient_accumulation"], count)
    adapter = adapter | {"batch_size": batch}
    need = needs.finetuning(model, adapter, bool(machine.vram), _bf16(base, machine), rows)
    return needs.together(count, need)


def _measure(model, names, config, machine):
    # The pages of F16 are given back when memory is short.
    return needs.generation(model, needs.bits_of(names["quantization"]), 512, "measure_gguf")


def _agent(model, names, config, machine):
    kind, agent = config["systems"][names["system"]]["quantization"], config["agent"]
    sequences = agent["parallel"] + 1 if agent["parallel"] > 1 else 1
    return needs.generation(model, needs.bits_of(kind), agent["context"] * sequences)


def _fetch(model, names, config, machine):
    return needs.fetching(model, config["bases"][names["base"]])


def _prefer(model, names, config, machine):
    """Two sides of as many preferences at a time."""
    adapter, base = _entries(names, config)
    both = adapter | {"batch_size": 2 * adapter["batch_size"]}
    return needs.finetuning(model, both, bool(machine.vram), _bf16(base, machine))


def _collect(model, names, config, machine):
    adapter, _ = _entries(names, config)
    return needs.collecting(model, adapter, bool(machine.vram), adapter["max_length"])


def _importance(model, names, config, machine):
    adapter, base = _entries(names, config)
    return needs.importance(model, 8 * (adapter or base).get("max_length", base["context"]))


def _merge(model, names, config, machine):
    adapter, _ = _entries(names, config)
    return needs.merging(model, adapter["method"], bool(machine.vram))


ESTIMATES = {
    "fetch_base": _fetch,
    "dequantize_base": _fetch,
    "pretrain": _pretrain,
    "train_lora": _train,
    "collect_preferences": _collect,
    "train_dpo": _prefer,
    "continue_pretraining": _pretrain,
    "merge_lora": _merge,
    "measure_importance": _importance,
    "convert_gguf": lambda model, *_: needs.conversion(model),
    "quantize": lambda model, names, *_: needs.quantization(
        model, needs.bits_of(names["quantization"])
    ),
    "measure_gguf": _measure,
    "measure_general": _measure,
    "run_agent": _agent,
    "evaluate_adapter": lambda model, *_: needs.evaluation(model),
}
