"""Models that stay on disk, for operations with bounded memory.

A model of seven billion weights takes 28 GB in fp32. Merging and checking need one layer of it at
a time.
"""

import contextlib
import json
import logging
from pathlib import Path

PREFIX = "base_model.model."  # of the names in an adapter
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def open_model(folder, adapter=None):
    """A model that loads each layer only while it computes. It computes in fp32.

    Args:
        folder: holds config.json and model.safetensors.
        adapter: folder of a peft adapter that is put on it, or None.
    """
    import torch
    from accelerate import dispatch_model, init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    folder, adapter = Path(folder), adapter and Path(adapter)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
    layers = sorted(model._no_split_modules)
    if adapter:
        from peft import PeftConfig, PeftModel

        with init_empty_weights(include_buffers=False):
            settings = PeftConfig.from_pretrained(str(adapter))
            model = PeftModel(model, settings, autocast_adapter_dtype=False)
    logging.getLogger("accelerate.big_modeling").setLevel("ERROR")  # we know where the weights are
    return dispatch_model(
        model.eval(),
        {"": "disk"},
        main_device="cpu",
        offload_index=_places(model, folder / "model.safetensors", adapter),
        preload_module_classes=layers,
        force_hooks=True,
    )


def _places(model, weights, adapter):
    """{parameter: where it is}, as accelerate reads it."""
    stored, found = places(weights), {}
    updates = places(adapter / "adapter_model.safetensors") if adapter else {}
    for parameter in model.state_dict():
        file, name = weights, parameter.removeprefix(PREFIX).replace(".base_layer.", ".")
        if ".lora_" in parameter:
            file, name = adapter / "adapter_model.safetensors", parameter.replace(".default", "")
            if name not in updates:  # DoRA's magnitudes are stored by another name
                name = name.removesuffix(".weight")
        elif name not in stored:  # tied to the embeddings
            name = "model.embed_tokens.weight"
        found[parameter] = {
            "safetensors_file": str(file),
            "weight_name": name,
            "dtype": "float32",
        }
    return found


def places(path):
    """{tensor: {"dtype", "shape", "data_offsets"}} of a safetensors file, from the file's start."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["data_offsets"] = [8 + size + offset for offset in entry["data_offsets"]]
    return header


@contextlib.contextmanager
def tensor_in(path, entry):
    """One memory-mapped tensor of a safetensors file; writes to it change the file.

    Args:
        entry: its entry of `places`.
    """
    import numpy as np
    import torch

    begin, end = entry["data_offsets"]
    mapped = np.memmap(path, np.uint8, "r+", begin, (end - begin,))
    yield torch.from_numpy(mapped).view(getattr(torch, DTYPES[entry["dtype"]])).view(entry["shape"])
    mapped.flush()
