"""The weights of a base: which files hold them, and whether they fit its config.json."""

import json

from specialist.core.errors import UserError
from specialist.core.model_files import CONFIG

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def find_weights(place, folder):
    """Paths of a base's weights: model.safetensors, or the shards that its index names, in order.

    Raises:
        UserError: there are none, or they are pickles, which run code when they are read; a shard
            is missing or truncated.
    """
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        names = ["model.safetensors"]
    elif index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = (
            f"found {', '.join(pickles)}, which may run code," if pickles else "found no weights,"
        )
        raise UserError(
            f"{place}: {folder}: {found} expected model.safetensors; write it with "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(folder), where you trust "
            "the model"
        )
    for name in names:
        try:
            with safe_open(folder / name, framework="pt"):
                pass
        except FileNotFoundError:
            raise UserError(
                f"{place}: {folder} has no {name}, which {index.name} names; fetch it too"
            ) from None
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{place}: {folder / name}: damaged or cut off ({error}); fetch it anew"
            ) from None
    return [folder / name for name in names]


def check_weights(place, config, weights):
    """Raise UserError unless the weights are those of the model that config.json describes.

    Args:
        config: folder of config.json.
        weights: paths of the safetensors.
    """
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig, AutoModelForCausalLM

    found = {}
    for path in weights:
        with safe_open(path, framework="pt") as file:
            found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(config, local_files_only=True)
        )
    # named_parameters leaves out what is tied to another.
    for name, parameter in network.named_parameters():
        if found.get(name) != tuple(parameter.shape):
            raise UserError(
                f"{place}: {name}: found {found.get(name, 'no such tensor')}, expected "
                f"{tuple(parameter.shape)} by {CONFIG} (vocab_size {network.config.vocab_size}); "
                "weights and config.json are of different models, or some files are missing"
            )


def join(shards, target):
    """Write several safetensors as one, as they are: nothing is read into memory whole.

    Args:
        shards: paths of files that share no tensor.
        target: file to write.
    """
    import shutil

    from specialist.train.streaming import places

    header, size, bodies = {}, 0, []
    for path in shards:
        entries = places(path)
        start = min(entry["data_offsets"][0] for entry in entries.values())
        for name, entry in entries.items():
            moved = [size + offset - start for offset in entry["data_offsets"]]
            header[name] = entry | {"data_offsets": moved}
        bodies.append((path, start))
        size += path.stat().st_size - start
    text = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for path, start in bodies:
            with open(path, "rb") as file:
                file.seek(start)
                shutil.copyfileobj(file, out, 1 << 24)
