"""The weights of a base: which files hold them, and whether they fit its config.json."""

import json

from specialist.bases.locate import file_of
from specialist.core.errors import UserError
from specialist.core.model_files import CONFIG, INDEX

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PART = 1 << 25  # bytes of a tensor that are looked at together


def find_weights(place, folder):
    """Paths of a base's weights: model.safetensors, or the shards that its index names, in order.

    Raises:
        UserError: there are none, or they are pickles, which run code when they are read; a shard
            is missing or truncated.
    """
    from safetensors import SafetensorError, safe_open

    index, paths = file_of(place, folder, INDEX), []
    if file_of(place, folder, "model.safetensors"):
        names = ["model.safetensors"]
    elif index:
        names = _shards(place, index)
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
        if not (path := file_of(place, folder, name)):
            raise UserError(
                f"{place}: {folder} has no {name}, which {index.name} names; download it too"
            )
        try:
            with safe_open(path, framework="pt"):
                paths.append(path)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{place}: {path}: damaged or cut off ({error}); fetch it again"
            ) from None
    return paths


def _shards(place, index):
    """Names of the files that an index of weights names, in order."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{place}: {index}: expected weight_map with the file of each tensor "
            f"({type(error).__name__}: {error}); fetch it again"
        ) from None
    if strange := [name for name in names if not str(name).endswith(".safetensors")]:
        raise UserError(
            f"{place}: {index}: weight_map: found {strange[0]!r}, expected names of .safetensors"
        )
    return sorted(names)


def check_weights(place, config, weights):
    """Check that the weights match config.json and are finite numbers.

    Every weight is read once, a part of a tensor at a time.

    Args:
        config: folder of config.json.
        weights: paths of the safetensors.

    Raises:
        UserError: names the first tensor that is missing, stored twice, of another shape or
            format, or not finite.
    """
    from specialist.train.networks import empty_network
    from specialist.train.streaming import DTYPES, places

    found = {}
    for path in weights:
        for name, entry in places(path).items():
            if name in found:
                raise UserError(
                    f"{place}: {name}: found in {path.name} and in {found[name][0].name}, expected "
                    "it once; fetch the shards again"
                )
            found[name] = path, entry
    network = empty_network(config)
    # named_parameters leaves out tied parameters.
    for name, parameter in network.named_parameters():
        path, entry = found.get(name, (None, {"shape": None}))
        if entry["shape"] != list(parameter.shape):
            shape = tuple(entry["shape"]) if path else "no such tensor"
            raise UserError(
                f"{place}: {name}: found {shape}, expected "
                f"{tuple(parameter.shape)} by {CONFIG} (vocab_size {network.config.vocab_size}); "
                "weights and config.json are of different models, or some files are missing"
            )
    for name, (path, entry) in found.items():
        if entry["dtype"] not in DTYPES:
            raise UserError(
                f"{place}: {name}: found the format {entry['dtype']}, expected one of "
                f"{', '.join(DTYPES)}; take weights that are not quantised"
            )
        if count := _not_finite(path, entry):
            raise UserError(
                f"{place}: {name}: {count:,} of its weights are NaN or infinite; the file is "
                "damaged, or the training that made it failed: take another model"
            )


def _not_finite(path, entry):
    """How many weights of a tensor are NaN or infinite; a part of it is in memory at a time.

    Args:
        entry: of `specialist.train.streaming.places`.
    """
    import torch

    from specialist.train.streaming import DTYPES

    dtype, count = getattr(torch, DTYPES[entry["dtype"]]), 0
    begin, end = entry["data_offsets"]
    with open(path, "rb") as file:
        file.seek(begin)
        for start in range(begin, end, PART):
            part = torch.frombuffer(bytearray(file.read(min(PART, end - start))), dtype=dtype)
            count += int((~part.isfinite()).sum())
    return count


def join(shards, target):
    """Join several safetensors into one, unchanged, with bounded memory.

    Args:
        shards: paths of files that share no tensor.
        target: file to write.
    """
    from specialist.train.streaming import places

    entries, spans = {}, []
    for path in shards:
        for name, entry in places(path).items():
            entries[name] = entry["dtype"], entry["shape"]
            spans.append((path, *entry["data_offsets"]))
    write_tensors(target, entries, (part for span in spans for part in _span(*span)))


def _span(path, begin, end):
    """Yield the bytes of a file from `begin` to `end`, a part at a time."""
    with open(path, "rb") as file:
        file.seek(begin)
        for start in range(begin, end, PART):
            yield file.read(min(PART, end - start))


def write_tensors(target, entries, parts):
    """Write a safetensors file piece by piece.

    Args:
        target: file to write.
        entries: {name of a tensor: (format, such as "F16", and shape)}, in their order.
        parts: bytes of all tensors in that order, cut anywhere.
    """
    import math

    import torch

    from specialist.train.streaming import DTYPES

    header, size = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in entries.items():
        end = size + math.prod(shape) * getattr(torch, DTYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [size, end]}
        size = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            out.write(part)
