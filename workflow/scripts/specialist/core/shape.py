"""The sizes of a base model, all derived from its depth."""

HEAD_DIM = 64


def shape(depth, vocab_size):
    """Sizes of a Qwen3 model, as its configuration class names them.

    Width grows with depth in steps of 256, because the K-quants of llama.cpp store rows in
    blocks of 256 weights: depth 1 to 5 gives 256, 6 to 9 gives 512, 10 to 13 gives 768.

    Args:
        depth: number of layers.
        vocab_size: tokens of the tokenizer.
    """
    hidden = 256 * max(1, round(depth / 4))
    return {
        "vocab_size": vocab_size,
        "num_hidden_layers": depth,
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_attention_heads": hidden // HEAD_DIM,
        "num_key_value_heads": hidden // HEAD_DIM,
        "head_dim": HEAD_DIM,
    }
