"""The loss of a large vocabulary, with the logits of a part of the tokens at a time.

The logits of 800 tokens over 49,152 are 160 MB in fp32, and the plain way keeps four such tensors
for the gradients. Here the gradients of a part are computed while its logits exist.
torch.nn.functional.linear_cross_entropy does the same, but returns a loss that is rounded to bf16.
"""

import functools

LOGITS = 1 << 24  # that exist at a time; a small vocabulary never has as many
# Settings by which a model changes its logits after the head.
SCALED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


def in_parts(model, tokens):
    """Whether `carried_loss` helps for a number of tokens, and applies to a model.

    It does if the head is a plain linear layer that is frozen.
    """
    import torch

    head = model.get_output_embeddings()
    return (
        type(head) is torch.nn.Linear
        and head.bias is None
        and not head.weight.requires_grad
        and not any(getattr(model.config, name, None) for name in SCALED_LOGITS)
        and tokens * head.weight.shape[0] > LOGITS
    )


def carried_loss(model, carries, targets, **inputs):
    """Sum of the loss over the tokens that carry it.

    Args:
        model: a causal language model of Transformers; see `in_parts`.
        carries: [rows, length - 1], whether the token after each place carries loss.
        targets: [tokens that carry loss], the token after each place.
        inputs: of the model; ids [rows, length].

    Returns:
        the loss in nats, a tensor without shape.
    """
    import torch

    head, found = model.get_output_embeddings(), []

    def keep(_, given):
        found.append(given[0][:, :-1][carries])
        return given[0][:, :0]  # the head itself computes nothing

    hook = head.register_forward_pre_hook(keep)
    try:
        model(**inputs, use_cache=False)
    finally:
        hook.remove()
    [hidden] = found
    if torch.is_autocast_enabled("cpu"):
        hidden = hidden.to(torch.get_autocast_dtype("cpu"))
    return _function().apply(hidden, head.weight.to(hidden.dtype), targets)


@functools.cache
def _function():
    """The loss as a function with its own gradient; torch is imported where it is needed."""
    import torch

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, hidden, weight, targets):
            rows = max(1, LOGITS // len(weight))
            total, gradient = hidden.new_zeros((), dtype=torch.float32), torch.empty_like(hidden)
            with torch.autocast("cpu", enabled=False):
                for start in range(0, len(hidden), rows):
                    part, right = hidden[start : start + rows], targets[start : start + rows, None]
                    logits = (part @ weight.T).float()
                    logits -= logits.logsumexp(1, keepdim=True)
                    total -= logits.gather(1, right).sum()
                    logits = logits.exp_()
                    logits.scatter_add_(1, right, -torch.ones_like(right, dtype=logits.dtype))
                    gradient[start : start + rows] = logits.to(weight.dtype) @ weight
            ctx.save_for_backward(gradient)
            return total

        @staticmethod
        def backward(ctx, given):
            (gradient,) = ctx.saved_tensors
            return gradient * given.to(gradient.dtype), None, None

    return Loss
