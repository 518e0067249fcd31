"""One long text as training data: windows of it, and its loss as a whole."""

from specialist.core.errors import UserError
from specialist.train import pretraining

BATCH = 16  # windows that are measured at a time


def one_text(path, sequence):
    """Token ids of a text, [1 + n]; the first is <|endoftext|>, which does not belong to it.

    Args:
        path: .npy of its tokens and <|endoftext|> behind them.
        sequence: tokens that a window predicts.

    Raises:
        UserError: the text is shorter than one window.
    """
    import numpy as np

    ids = np.roll(np.load(path, mmap_mode="r"), 1)
    if len(ids) <= sequence + 1:
        raise UserError(
            f"{path}: found {len(ids) - 1} tokens of text, expected more than the {sequence} of "
            "one training row; add text to the corpus or lower the base's `sequence`"
        )
    return ids


def windows(ids, rows, sequence, generator):
    """Rows that begin anywhere in a text, int64 tensor [rows, sequence + 1].

    Args:
        ids: array [n] of token ids.
        generator: `numpy.random.Generator`.
    """
    import numpy as np
    import torch

    starts = generator.integers(0, len(ids) - sequence, rows)
    return torch.from_numpy(ids[starts[:, None] + np.arange(sequence + 1)].astype(np.int64))


def training(
    model, ids, *, steps, batch_tokens, sequence, learning_rate, muon_learning_rate,
    weight_decay, warmup_share, precision, seed, device,
):  # fmt: skip
    """Train a model on windows of a text; each `next` takes one step.

    Args:
        ids: array [n] of token ids.
        steps: how many.
        batch_tokens, ..., seed: as in `pretrain`.

    Yields:
        the loss of the step's batch, in nats per token.
    """
    import numpy as np

    generator, rows = np.random.default_rng(seed), max(1, batch_tokens // sequence)
    optimizers = pretraining.optimizers(
        model, learning_rate, muon_learning_rate, weight_decay, precision
    )
    for step in range(steps):
        with pretraining.autocast(precision):
            loss = loss_of(model, windows(ids, rows, sequence, generator).to(device))
        pretraining.descend(loss, optimizers, pretraining.rate(step, steps, warmup_share))
        yield loss.item()


def loss_of(model, ids):
    """Mean cross-entropy, in nats, of each row's tokens after its first.

    Args:
        ids: int64 tensor [rows, tokens].
    """
    import torch

    hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state
    logits = model.lm_head(hidden).float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def nats_of(loss, ids, sequence, device):
    """Sum of the cross-entropies, in nats, of all tokens of a text but the first.

    Each token is predicted once, from at least one and at most `sequence` tokens before it.

    Args:
        loss: function from rows to their mean loss, such as `loss_of` with a model.
        ids: array [n] of token ids, at least one window.
    """
    import numpy as np
    import torch

    rows = np.lib.stride_tricks.sliding_window_view(ids, sequence + 1)[::sequence]
    batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    if (rest := ids[len(rows) * sequence :]).size > 1:
        batches.append(rest[None])
    with torch.inference_mode():
        return sum(
            loss(torch.from_numpy(batch.astype(np.int64)).to(device)).item() * batch[:, 1:].size
            for batch in batches
        )
