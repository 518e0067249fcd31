"""Compares two tokenizers."""

# Positions of a token: alone, in a word, among blanks, after figures, at a line's end, twice.
PLACES = ("@", "a@b", "x @ y", "1@.", "@\n", "\n@", "@@")


def differing_tokens(tokens, one, other):
    """The added tokens that two tokenizers encode differently, alone or inside a text.

    Args:
        tokens: texts of the added tokens.
        one, other: each has `tokenize(text, special)`, such as a
            `specialist.gguf.runtime.Runtime` or a `specialist.train.conversations.BaseTokenizer`.

    Returns:
        list of texts.
    """
    return [
        token
        for token in tokens
        if any(
            one.tokenize(place.replace("@", token), special)
            != other.tokenize(place.replace("@", token), special)
            for place in PLACES
            for special in (True, False)
        )
    ]


def named(tokens, most=5):
    """A sentence that names some tokens for a gate's message, or "" for none."""
    if not tokens:
        return ""
    more = f" and {len(tokens) - most} more" if len(tokens) > most else ""
    return f" These added tokens differ: {', '.join(map(repr, tokens[:most]))}{more}."


def logit_difference(model, runtime, ids):
    """The largest difference of logits after some tokens, over the logits' standard deviation.

    Args:
        model: of Transformers.
        runtime: an open `specialist.gguf.runtime.Runtime`.
        ids: token ids, as many as the context of both holds.
    """
    import numpy as np
    import torch

    actual = runtime.logits(ids)
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].numpy()
    return float(np.abs(actual - logits).max() / logits.std())
