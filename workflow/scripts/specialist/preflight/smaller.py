"""Smaller settings for a job that does not fit.

Each function yields (section of the configuration, name of an entry or None, other values), the
least change of a kind first.
"""

from specialist.config.settings.bases import imported
from specialist.preflight import needs


def _smaller_pretraining(names, config):
    name, base = names["base"], config["bases"][names["base"]]
    size = base["batch_tokens"] // 2
    while size >= base["sequence"]:
        yield "bases", name, {"batch_tokens": size}
        size //= 2
    for length in (base["sequence"] // 2, base["sequence"] // 4):
        yield "bases", name, {"sequence": max(32, length), "batch_tokens": max(32, length)}
    if not imported(base):
        for depth in range(base["depth"] - 1, 0, -1):
            yield "bases", name, {"depth": depth}


def _smaller_training(names, config):
    name = names["adapter"]
    entry = config["adapters"][name]
    batch, rows = entry["batch_size"], entry["batch_size"] * entry["gradient_accumulation"]
    smaller = [size for size in range(batch - 1, 0, -1) if rows % size == 0]
    for size in smaller:
        yield "adapters", name, {"batch_size": size, "gradient_accumulation": rows // size}
    for length in range((entry["max_length"] - 1) // 64 * 64, 0, -64):
        yield "adapters", name, {"max_length": length}
    checkpointing = {"gradient_checkpointing": True}
    four_bits = {} if entry.get("method") == "qlora" else {"method": "qlora"}
    least = {"batch_size": 1, "gradient_accumulation": rows}
    for values in (
        checkpointing, four_bits, four_bits | checkpointing, checkpointing | least,
        four_bits | checkpointing | least,
    ):  # fmt: skip
        if values:
            yield "adapters", name, values


def _smaller_system(names, config):
    entry = config["systems"][names["system"]]
    bits = needs.bits_of(entry["quantization"])
    for kind in sorted(config["quantizations"], key=needs.bits_of, reverse=True):
        if needs.bits_of(kind) < bits:
            yield "systems", names["system"], {"quantization": kind}
    for share in (2, 4):
        yield "agent", None, {"context": config["agent"]["context"] // share}


# Rule -> function that yields (section, name of an entry, other values), the least change first.
CHANGES = {
    "pretrain": _smaller_pretraining,
    "continue_pretraining": _smaller_pretraining,
    "train_lora": _smaller_training,
    "train_dpo": _smaller_training,
    "run_agent": _smaller_system,
}
