"""A base in a GGUF: its files in the Transformers format."""

import json

from specialist.core.errors import UserError
from specialist.core.gguf_header import ROPE, transformers_config, transformers_name
from specialist.core.model_files import CONFIG, TOKENIZER_CONFIG

STORED = {"F32": "F32", "BF16": "BF16"}  # all others become F16
# llama.cpp's names of the pre-tokenizers whose words are looked up whole before they are merged.
IGNORE_MERGES = {"llama3", "llama-v3", "llama-bpe"}
PART = 1 << 24  # weights that are dequantised together


def write_small_files(place, header, folder):
    """Write config.json, tokenizer.json and tokenizer_config.json of a GGUF; returns `folder`.

    Args:
        header: of `specialist.core.gguf_header.read_header`.

    Raises:
        UserError: Transformers cannot build the tokenizer.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    try:
        architecture, tokens, settings = get_gguf_tokenizer(str(header.path))
        backend, _ = convert_gguf_tokenizer(architecture, tokens)
    except Exception as error:  # metadata of a wrong form can fail anywhere, also in Rust
        raise UserError(
            f"{place}: {header.path}: Transformers cannot build the tokenizer "
            f"({type(error).__name__}: {' '.join(str(error).split())[:400]}); take another file, "
            "or import the original model by `path` or `hub`"
        ) from None
    data, count = json.loads(backend.to_str()), len(tokens["tokens"])
    # Transformers adds the end token of GPT-2, which the model has no embedding for.
    data["added_tokens"] = [token for token in data["added_tokens"] if token["id"] < count]
    data["model"]["ignore_merges"] = tokens.get("pre_tokenizer_type") in IGNORE_MERGES
    fast = Tokenizer.from_str(json.dumps(data))
    PreTrainedTokenizerFast(tokenizer_object=fast, **settings).save_pretrained(folder)
    path = folder / TOKENIZER_CONFIG
    kept = json.loads(path.read_text(encoding="utf-8")) | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": header.metadata["tokenizer.chat_template"],
    }
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False), encoding="utf-8")
    write_config(place, header, folder / CONFIG)
    return folder


def write_config(place, header, path):
    """Write the config.json of a GGUF."""
    config = transformers_config(place, header)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def dequantize(place, header, target):
    """Write the weights of a GGUF as safetensors, with a part of a tensor in memory at a time.

    F32 and BF16 keep their format. All other types become F16, the format of the GGUF that is
    later made from the base.

    Args:
        header: of `specialist.core.gguf_header.read_header`.
        target: file to write.
    """
    from specialist.bases.weights import write_tensors

    config = transformers_config(place, header)
    tensors = [tensor for tensor in header.tensors if tensor.name != ROPE]
    entries = {
        transformers_name(tensor.name): (
            STORED.get(tensor.tensor_type.name, "F16"),
            [int(size) for size in reversed(tensor.shape)],
        )
        for tensor in tensors
    }
    write_tensors(target, entries, (part for t in tensors for part in _parts(t, config)))


def _parts(tensor, config):
    """Yield the bytes of a tensor, some rows at a time, in Transformers' order of rows."""
    import numpy as np

    import gguf

    kind, data = tensor.tensor_type, tensor.data
    if kind.name in STORED:
        data = data.view(np.uint16 if kind.name == "BF16" else np.float32)
    rows = _rows(tensor, config)
    size = max(1, PART // int(tensor.shape[0]))
    for start in range(0, len(data), size if data.ndim > 1 else len(data)):
        part = data[rows[start : start + size]] if data.ndim > 1 else data
        if kind.name not in STORED:
            with np.errstate(over="ignore", invalid="ignore"):  # `check_weights` names the tensor
                part = gguf.dequantize(part, kind).astype(np.float16)
        yield np.ascontiguousarray(part).tobytes()


def _rows(tensor, config):
    """The number in the file of each row of Transformers' tensor.

    llama.cpp rotates neighbouring rows of queries and keys of a llama, Transformers those of the
    two halves of a head; the converter's `permute` is undone here.
    """
    import numpy as np

    rows = np.arange(int(tensor.shape[-1]))
    layer = tensor.name.split(".")[-2]
    if config["model_type"] != "llama" or layer not in ("attn_q", "attn_k"):
        return rows
    heads = config["num_attention_heads" if layer == "attn_q" else "num_key_value_heads"]
    return rows.reshape(heads, len(rows) // heads // 2, 2).swapaxes(1, 2).reshape(-1)
