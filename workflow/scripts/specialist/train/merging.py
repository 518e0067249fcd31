"""Puts an adapter's updates into the matrices of its base, one after the other, in the file."""

import copy
import json
import shutil

from specialist.core.errors import UserError
from specialist.train.streaming import PREFIX, places, tensor_in


def merge(model, config, adapter, merged, merged_config):
    """Write a base with an adapter merged into it.

    A base in bf16 becomes one in F16, which takes the same space and rounds eight times more
    finely. In bf16, small updates would be lost, and the GGUF is in F16 anyway. Other bases keep
    their format.

    Args:
        model, config: safetensors and config.json of the base.
        adapter: folder of a peft adapter.
        merged, merged_config: the same of the merged model, to write.

    Returns:
        the number format of the merged matrices, "F32" or "F16".

    Raises:
        UserError: the adapter has an update for a matrix that the base does not have, or a weight
            is too large for F16.
    """
    import torch
    from peft import PeftConfig
    from safetensors import safe_open

    settings = PeftConfig.from_pretrained(str(adapter))
    settings.target_modules = ["matrix"]
    shutil.copyfile(model, merged)
    stored = places(merged)
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        updates = _updates(file)
        if unknown := sorted(updates.keys() - stored.keys()):
            raise UserError(
                f"{adapter}: found an update of {unknown[0]}, which {model} does not have; the "
                "adapter belongs to another base"
            )
        for name, entry in stored.items():
            keys, half = updates.get(name, {}), entry["dtype"] == "BF16"
            if not keys and not half:
                continue
            with tensor_in(merged, entry) as weight:
                update = {part: file.get_tensor(key) for part, key in keys.items()}
                found = _merged(weight.float(), update, settings) if keys else weight
                if half:
                    found, weight = found.half(), weight.view(torch.float16)
                if not found.isfinite().all():
                    raise UserError(
                        f"{model}: {name} with its update has weights beyond what 16 bits hold"
                    )
                weight.copy_(found)
    formats = {entry["dtype"] for entry in stored.values()}
    settings = json.loads(config.read_text(encoding="utf-8"))
    if "BF16" in formats:
        _rename_format(merged)
        key = "dtype" if "dtype" in settings else "torch_dtype"
        settings[key] = "float16"
        merged_config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    else:
        shutil.copyfile(config, merged_config)
    return "F32" if formats == {"F32"} else "F16"


def _updates(file):
    """{name of a matrix: {part of its update: key in the adapter's file}}"""
    updates = {}
    for key in file.keys():  # noqa: SIM118 (it is no dict)
        module, _, part = key.removeprefix(PREFIX).partition(".lora_")
        updates.setdefault(f"{module}.weight", {})[f"lora_{part}"] = key
    return updates


def _merged(weight, update, settings):
    """A matrix [out, in] in fp32 with its update, by peft's own arithmetic.

    All methods that peft knows (DoRA, rank-stabilised scales) therefore work here too.

    Args:
        update: {"lora_A.weight": [rank, in], "lora_B.weight": [out, rank], ...}.
    """
    import torch
    from peft import inject_adapter_in_model, set_peft_model_state_dict

    rows, columns = weight.shape
    one = torch.nn.ModuleDict({"matrix": torch.nn.Linear(columns, rows, bias=False, device="meta")})
    one["matrix"].weight = torch.nn.Parameter(weight, requires_grad=False)
    inject_adapter_in_model(copy.copy(settings), one)
    set_peft_model_state_dict(one, {f"{PREFIX}matrix.{part}": t for part, t in update.items()})
    one["matrix"].merge(safe_merge=True)
    return one["matrix"].get_base_layer().weight.detach()


def _rename_format(path):
    """Call the tensors in bf16 of a safetensors file F16, in its header; blanks keep its length."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size).replace(b'"BF16"', b'"F16" ')
        file.seek(8)
        file.write(header)
