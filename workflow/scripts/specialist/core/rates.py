"""Rates of success, with their intervals."""


def wilson(success, n):
    """The 95 % Wilson interval of a rate, as [low, high]."""
    from scipy.stats import binomtest

    found = binomtest(success, n).proportion_ci(method="wilson")
    # Rounding may put an end just outside.
    return [max(0.0, float(found.low)), min(1.0, float(found.high))]


def with_rate(counts):
    """Counts with "n" and "success", and their "success_rate" and "ci95"."""
    n, success = counts["n"], counts["success"]
    return counts | {"success_rate": success / n, "ci95": wilson(success, n)}
