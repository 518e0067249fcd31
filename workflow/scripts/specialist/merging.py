"""Puts an adapter's updates into the matrices of its base, one after the other, in the file."""

import copy
import shutil

from specialist.step import UserError
from specialist.streaming import places, tensor_in

PREFIX = "base_model.model."  # of the names in an adapter's file


def merge(model, adapter, merged):
    """Write a base with an adapter merged into it.

    peft merges each matrix, so that what it knows (DoRA, rank-stabilised scales) holds here too.

    Args:
        model: safetensors of the base.
        adapter: folder of a peft adapter.
        merged: safetensors to write; the base's names and number format.

    Raises:
        UserError: the adapter has an update for a matrix that the base does not have.
    """
    from peft import PeftConfig
    from safetensors import safe_open

    settings = PeftConfig.from_pretrained(str(adapter))
    settings.target_modules = ["matrix"]
    stored = places(model)
    shutil.copyfile(model, merged)
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        updates = {}
        for key in file.keys():  # noqa: SIM118 (it is no dict)
            module, _, part = key.removeprefix(PREFIX).partition(".lora_")
            updates.setdefault(f"{module}.weight", {})[f"lora_{part}"] = key
        for name, keys in updates.items():
            if name not in stored:
                raise UserError(
                    f"{adapter}: found an update of {name}, which {model} does not have; the "
                    "adapter belongs to another base"
                )
            update = {part: file.get_tensor(key) for part, key in keys.items()}
            with tensor_in(merged, stored[name]) as weight:
                weight.copy_(_merged(weight.float(), update, settings))


def _merged(weight, update, settings):
    """A matrix [out, in] in fp32 with its update, by peft's own arithmetic.

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
