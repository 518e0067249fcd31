"""Chooses the attention for training, and defines one for processors.

On processors without AMX, PyTorch's fused attention computes bf16 more slowly than its plain matrix
products.
"""

from specialist.core.precision import computes_bf16

NAME = "products"


def implementation(precision):
    """The name of the attention to load a model with: `attn_implementation`.

    Args:
        precision: see `specialist.core.precision`.
    """
    import torch
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    if torch.cuda.is_available() or not computes_bf16(precision):
        return "sdpa"
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    return NAME


def attend(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    """Attention as matrix products in the number format of `value`.

    Args:
        module: the attention layer.
        query: [batch, heads, tokens, size].
        key, value: [batch, key heads, tokens, size]; heads is a multiple of key heads.
        attention_mask: [batch, 1, tokens, tokens], added to the scores.
        scaling: factor of the scores.
        dropout: share of the weights that is dropped.

    Returns:
        (output [batch, tokens, heads, size], None)
    """
    import torch

    batch, heads, tokens, size = query.shape
    shared = heads // key.shape[1]
    key, value = (x.repeat_interleave(shared, 1) if shared > 1 else x for x in (key, value))
    query, key, value = (x.to(value.dtype).flatten(0, 1) for x in (query, key, value))
    mask = attention_mask.to(value.dtype).expand(batch, heads, tokens, tokens).flatten(0, 1)
    weights = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=scaling).softmax(-1)
    weights = torch.dropout(weights, dropout, module.training)
    return torch.bmm(weights, value).view(batch, heads, tokens, size).transpose(1, 2), None
