"""A model of a given shape with random weights, to measure what depends only on the shape."""

NORM, STANDARD_DEVIATION = "norm", 0.02
BLOCK = 1 << 22  # random numbers that are drawn; larger matrices repeat them


def write(
    path, *, architecture, hidden, layers, heads, key_heads, intermediate, vocabulary, context=1024
):
    """Write an F16 GGUF, one tensor in memory at a time.

    Args:
        path: GGUF to write; it has no tokenizer.
        architecture: llama.cpp's name of it, "llama" or "qwen2".
        hidden, intermediate: width of the model and of its feed-forward layers.
        layers, heads, key_heads: numbers of them.
        vocabulary: tokens.
        context: positions.
    """
    import numpy as np

    import gguf

    block = np.random.default_rng(1).normal(0, STANDARD_DEVIATION, BLOCK).astype(np.float16)
    size = hidden // heads
    shapes = _tensors(architecture, hidden, layers, size * key_heads, intermediate, vocabulary)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(intermediate)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_rope_dimension_count(size)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for name, shape in shapes.items():
        kind = np.float16 if len(shape) == 2 else np.float32
        count = int(np.prod(shape))
        writer.add_tensor_info(name, shape, np.dtype(kind), count * np.dtype(kind).itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, shape in shapes.items():
        if len(shape) == 2:
            writer.write_tensor_data(np.resize(block, shape))
        else:
            fill = np.ones if NORM in name else np.zeros
            writer.write_tensor_data(fill(shape, dtype=np.float32))
    writer.close()


def _tensors(architecture, hidden, layers, keys, intermediate, vocabulary):
    """{name of a tensor: its shape}, as llama.cpp names them."""
    found = {"token_embd.weight": (vocabulary, hidden)}
    for layer in range(layers):
        own = {
            "attn_norm.weight": (hidden,),
            "attn_q.weight": (hidden, hidden),
            "attn_k.weight": (keys, hidden),
            "attn_v.weight": (keys, hidden),
            "attn_output.weight": (hidden, hidden),
            "ffn_norm.weight": (hidden,),
            "ffn_gate.weight": (intermediate, hidden),
            "ffn_up.weight": (intermediate, hidden),
            "ffn_down.weight": (hidden, intermediate),
        }
        if architecture == "qwen2":
            own |= {"attn_q.bias": (hidden,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
        found |= {f"blk.{layer}.{name}": shape for name, shape in own.items()}
    return found | {"output_norm.weight": (hidden,), "output.weight": (vocabulary, hidden)}
