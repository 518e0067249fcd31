"""The header of a GGUF that a base is imported from: metadata and tensors, no weights."""

import math
from dataclasses import dataclass
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.model_config import check_sizes

# llama.cpp's name of an architecture -> (model_type, class) of Transformers
ARCHITECTURES = {
    "llama": ("llama", "LlamaForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
}
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
ROPE = "rope_freqs.weight"  # factors of the rotary frequencies
# llama.cpp's name of a tokenizer -> why it cannot be imported
OTHER_TOKENIZERS = {"llama": "a SentencePiece tokenizer", "bert": "a WordPiece tokenizer"}


@dataclass(frozen=True)
class Header:
    """A GGUF's header.

    Attributes:
        path: of the file.
        metadata: {key: value}; a list is its length.
        tensors: `gguf.ReaderTensor` of each tensor, in the file's order; the data are mapped.
    """

    path: Path
    metadata: dict
    tensors: list

    def sized(self, key, default=None):
        """The value of a key below the architecture's name."""
        return self.metadata.get(f"{self.metadata['general.architecture']}.{key}", default)


def read_header(place, path):
    """Read a GGUF's header, and check that a base can be imported from the file.

    Args:
        place: the base's entry in the configuration, for messages.
        path: of the file.

    Raises:
        UserError: the file is damaged, cut off or split; its architecture, a tensor or its type
            is unknown; or it has no tokenizer or chat template.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        metadata = {
            key: len(field.data) if len(field.data) > 1 else field.contents()
            for key, field in reader.fields.items()
        }
    except Exception as error:  # the reader trusts every length and offset in the file
        raise UserError(
            f"{place}: {path}: damaged, cut off or not a GGUF ({type(error).__name__}: {error}); "
            "download it again"
        ) from None
    found = Header(Path(path), metadata, reader.tensors)
    _check_parts(place, found)
    _check_architecture(place, found)
    _check_types(place, found)
    _check_tokenizer(place, found)
    return found


def _check_parts(place, header):
    count = header.metadata.get("split.count", 1)
    if count > 1:
        raise UserError(
            f"{place}: {header.path}: found one of {count} parts, expected a whole model; join "
            "them with llama.cpp's `llama-gguf-split --merge FIRST_PART WHOLE.gguf`"
        )
    if not header.tensors:
        raise UserError(f"{place}: {header.path}: found no weights; take the file of a whole model")


def _check_architecture(place, header):
    name = header.metadata.get("general.architecture")
    if name not in ARCHITECTURES:
        raise UserError(
            f"{place}: {header.path}: general.architecture: found {name!r}, expected one of "
            f"{', '.join(ARCHITECTURES)}; import the original model by `path` or `hub`"
        )
    for tensor in header.tensors:
        if tensor.name != ROPE and transformers_name(tensor.name) is None:
            raise UserError(
                f"{place}: {header.path}: {tensor.name}: this tensor does not belong to a plain "
                f"{name} model (it may be a mixture of experts); import the original model by "
                "`path` or `hub`"
            )


def _check_types(place, header):
    import numpy as np

    from gguf import GGML_QUANT_SIZES, dequantize

    for kind in {tensor.tensor_type for tensor in header.tensors}:
        try:
            dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
        except NotImplementedError:
            names = [t.name for t in header.tensors if t.tensor_type == kind]
            raise UserError(
                f"{place}: {header.path}: {names[0]}: the type {kind.name} cannot be dequantised; "
                "take a file of another type, such as Q8_0 or F16"
            ) from None


def _check_tokenizer(place, header):
    kind = header.metadata.get("tokenizer.ggml.model")
    if not kind or not header.metadata.get("tokenizer.ggml.tokens"):
        raise UserError(
            f"{place}: {header.path}: found no tokenizer (tokenizer.ggml.tokens); take the file "
            "of a whole model"
        )
    if kind != "gpt2":
        found = OTHER_TOKENIZERS.get(kind, "a tokenizer of another kind")
        raise UserError(
            f"{place}: {header.path}: tokenizer.ggml.model: found {kind}, {found}, expected gpt2 "
            "(byte-level BPE); import the original model by `path` or `hub`"
        )
    if not header.metadata.get("tokenizer.chat_template"):
        raise UserError(
            f"{place}: {header.path}: found no chat template (tokenizer.chat_template); take the "
            "model that was tuned for conversations (its name often ends with Instruct)"
        )


def transformers_name(name):
    """Transformers' name of a tensor with llama.cpp's `name`, or None if there is none."""
    part, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None
    if part in WHOLE:
        return f"{WHOLE[part]}.{kind}"
    block, _, rest = part.partition(".")
    number, _, layer = rest.partition(".")
    if block != "blk" or not number.isdecimal() or layer not in LAYER:
        return None
    return f"model.layers.{number}.{LAYER[layer]}.{kind}"


def transformers_config(place, header):
    """The config.json of Transformers that a GGUF's metadata describe, as a dict.

    Raises:
        UserError: a size is missing or impossible, or positions are scaled in an unknown way.
    """
    name, names = header.metadata["general.architecture"], {t.name for t in header.tensors}
    kind, model_class = ARCHITECTURES[name]

    def sized(key, default=None):
        value = header.sized(key, default)
        if value is None:
            raise UserError(
                f"{place}: {header.path}: {name}.{key} is missing; download the file again, or "
                "import the original model by `path` or `hub`"
            )
        return value

    embeddings = next((t for t in header.tensors if t.name == "token_embd.weight"), None)
    if embeddings is None:
        raise UserError(f"{place}: {header.path}: token_embd.weight is missing; download it again")
    hidden, heads = sized("embedding_length"), sized("attention.head_count")
    head = sized("attention.key_length", sized("rope.dimension_count", hidden // heads))
    config = {
        "architectures": [model_class],
        "model_type": kind,
        "num_hidden_layers": sized("block_count"),
        "hidden_size": hidden,
        "intermediate_size": sized("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": sized("attention.head_count_kv", heads),
        "head_dim": head,
        "max_position_embeddings": sized("context_length"),
        "rms_norm_eps": sized("attention.layer_norm_rms_epsilon"),
        "rope_parameters": _rope(place, header, head, sized("rope.freq_base", 10000.0)),
        "vocab_size": int(embeddings.shape[-1]),
        "tie_word_embeddings": "output.weight" not in names,
        "bos_token_id": header.metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": header.metadata.get("tokenizer.ggml.eos_token_id"),
        "dtype": {"F32": "float32", "BF16": "bfloat16"}.get(
            embeddings.tensor_type.name, "float16"
        ),
    }  # fmt: skip
    if name == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in names
    check_sizes(config, f"{place}: {header.path}")
    return config


def _rope(place, header, head, base):
    """How positions are written: Transformers' `rope_parameters`."""
    kind = header.sized("rope.scaling.type", "none")
    rotated = header.sized("rope.dimension_count", head)
    if kind not in ("none", "linear") or rotated != head:
        found = f"rope.scaling.type {kind}" if rotated == head else f"{rotated} of {head} rotated"
        raise UserError(
            f"{place}: {header.path}: found {found}, expected positions that are not scaled or "
            "scaled linearly; import the original model by `path` or `hub`"
        )
    if kind == "linear":
        factor = header.sized("rope.scaling.factor", 1.0)
        return {"rope_type": "linear", "rope_theta": base, "factor": factor}
    factors = next((t.data.tolist() for t in header.tensors if t.name == ROPE), None)
    if factors is None:
        return {"rope_type": "default", "rope_theta": base}
    scaled = {
        "rope_type": "llama3", "rope_theta": base, "factor": max(factors), "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    }  # fmt: skip
    expected = _llama3_factors(scaled, head)
    if len(factors) != len(expected) or not all(
        math.isclose(a, b, rel_tol=1e-3) for a, b in zip(factors, expected, strict=True)
    ):
        raise UserError(
            f"{place}: {header.path}: {ROPE}: found factors other than Llama 3's; import the "
            "original model by `path` or `hub`"
        )
    return scaled


def _llama3_factors(rope, head):
    """By what Llama 3 divides each rotary frequency."""
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    found = []
    for i in range(0, head, 2):
        turns = rope["original_max_position_embeddings"] / (
            2 * math.pi * rope["rope_theta"] ** (i / head)
        )
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        found.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return found
