"""The sizes of a model from its config.json: its matrices, and its number of weights."""

from dataclasses import dataclass
from math import prod

from specialist.core.errors import UserError
from specialist.core.model_config import check_sizes

# model_type -> (norms of a layer as wide as the model, norms as wide as a head, what has biases
# if the config does not say, embeddings tied if the config does not say, fused matrices)
FAMILIES = {
    "llama": (2, 0, "", False, False),
    "mistral": (2, 0, "", False, False),
    "qwen2": (2, 0, "qkv", False, False),
    "qwen3": (2, 2, "", False, False),
    "gemma": (2, 0, "", True, False),
    "gemma2": (4, 0, "", True, False),
    "phi3": (2, 0, "", False, True),
}


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model.

    Args:
        hidden, head_dim, intermediate: widths of the model, a head, and the feed-forward layers.
        matrices: {name of a linear layer: (outputs, inputs)} of a layer of the model.
        vectors: weights in norms and biases of a layer of the model.
        tied: whether the embeddings are the output matrix too.
        head_norms: whether queries and keys are normalised.
        weight_bytes: of a weight in the model's file.
    """

    layers: int
    hidden: int
    heads: int
    key_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    matrices: dict
    vectors: int
    tied: bool
    head_norms: bool
    weight_bytes: int

    @property
    def largest(self):
        """Weights in the largest linear layer."""
        return max(map(prod, self.matrices.values()))

    @property
    def linear(self):
        """Weights in the linear layers, without embeddings and output matrix."""
        return self.layers * sum(map(prod, self.matrices.values()))

    @property
    def embeddings(self):
        """Weights in embeddings and output matrix."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden

    @property
    def parameters(self):
        return self.linear + self.embeddings + self.layers * self.vectors + self.hidden

    def low_rank(self, rank, targets="all-linear"):
        """Weights in a LoRA adapter.

        Args:
            targets: "all-linear" or a list of names of linear layers.
        """
        chosen = self.matrices if targets == "all-linear" else self.matrices.keys() & {*targets}
        return self.layers * sum(rank * sum(self.matrices[name]) for name in chosen)


def read(config, place="config.json"):
    """The architecture that a config.json describes.

    Args:
        config: the file's content, a dict.
        place: where it stands, for the message.

    Returns:
        an `Architecture`, or None for a `model_type` whose sizes are not known here.

    Raises:
        UserError: a size is missing, or cannot be one.
    """
    check_sizes(config, place)
    if config.get("model_type") not in FAMILIES:
        return None
    wide, narrow, biased, tied, fused = FAMILIES[config["model_type"]]

    def size(key, default=None):
        value = config.get(key) or default
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{place}: {key}: found {config.get(key)!r}, expected a whole number")
        return value

    hidden, heads = size("hidden_size"), size("num_attention_heads")
    key_heads = size("num_key_value_heads", heads)
    head_dim, inner = size("head_dim", hidden // heads), size("intermediate_size")
    queries, keys = heads * head_dim, key_heads * head_dim
    matrices = {
        "q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden),
        "o_proj": (hidden, queries), "gate_proj": (inner, hidden), "up_proj": (inner, hidden),
        "down_proj": (hidden, inner),
    }  # fmt: skip
    vectors = wide * hidden + narrow * head_dim
    if biased == "qkv" or config.get("attention_bias"):
        vectors += queries + 2 * keys + (0 if biased == "qkv" else hidden)
    if config.get("mlp_bias"):
        vectors += 2 * inner + hidden
    if fused:
        matrices = {
            "qkv_proj": (queries + 2 * keys, hidden), "o_proj": (hidden, queries),
            "gate_up_proj": (2 * inner, hidden), "down_proj": (hidden, inner),
        }  # fmt: skip
    return Architecture(
        size("num_hidden_layers"), hidden, heads, key_heads, head_dim, inner, size("vocab_size"),
        matrices, vectors, config.get("tie_word_embeddings", tied), bool(narrow),
        4 if config.get("dtype", config.get("torch_dtype")) == "float32" else 2,
    )  # fmt: skip
