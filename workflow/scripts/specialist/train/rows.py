"""Rows of tokens for pretraining."""

from specialist.core.errors import UserError


class Rows:
    """A stream of documents cut into rows, with positions that restart at each document.

    Transformers reads the restarts as borders that attention does not cross, so documents in
    one row do not see each other. A row's positions start at 0, even if it begins inside a
    document. Rotary angles therefore stay small and exact. Positions are computed when a batch is
    read. Tokens after the last whole row are dropped.

    Args:
        tokens: array [n] of token ids, each document ended by `end`; may be memory-mapped.
        end: token id that ends a document.
        sequence: tokens in a row.
        what: what the text is, for the message.

    Raises:
        UserError: the stream is shorter than one row.
    """

    def __init__(self, tokens, end, sequence, what="text"):
        count = len(tokens) // sequence
        if not count:
            raise UserError(
                f"found {len(tokens)} tokens of {what}, expected at least the {sequence} of one "
                "row; add text to the corpus or lower the base's `sequence`"
            )
        self.end, self.sequence = end, sequence
        self.tokens = tokens[: count * sequence].reshape(count, sequence)

    def __len__(self):
        return len(self.tokens)

    def order(self, rows, generator):
        """Indices of `rows` rows: complete passes over the data, each shuffled differently."""
        import numpy as np

        passes = -(-rows // len(self))
        return np.concatenate([generator.permutation(len(self)) for _ in range(passes)])[:rows]

    def batch(self, numbers, device):
        """(ids, positions) of some rows, int64 tensors [len(numbers), sequence]."""
        import numpy as np
        import torch

        ids = self.tokens[numbers].astype(np.int64)
        place = np.arange(self.sequence)
        # The place where each token's document starts in its row.
        starts = np.zeros_like(ids)
        starts[:, 1:] = np.where(ids[:, :-1] == self.end, place[1:], 0)
        positions = place - np.maximum.accumulate(starts, axis=1)
        return tuple(torch.from_numpy(array).to(device) for array in (ids, positions))
