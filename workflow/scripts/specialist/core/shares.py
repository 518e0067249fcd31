"""How several processes divide the batch of a training step."""

from math import gcd


def shares(batch_size, accumulation, processes):
    """The batch of one of several processes: together they see the rows of one step of one process.

    Passes are divided before rows, because a larger batch computes faster.

    Args:
        batch_size: rows in one forward pass of a single process.
        accumulation: forward passes in one optimizer step of a single process.
        processes: a divisor of the product of the two.

    Returns:
        (rows, forward passes) of each process.
    """
    common = gcd(accumulation, processes)
    return batch_size // (processes // common), accumulation // common


def divisors(number):
    """All divisors of a number, as text for a message."""
    return ", ".join(str(part) for part in range(1, number + 1) if number % part == 0)
