"""Parameters under their names.

Snakemake compares the values of a rule's parameters with those of the last time as a set, without
their names: a value that another parameter had already, or two that change places, would rerun
nothing. So a rule with several parameters has them in one dict.
"""


def named(**values):
    """For a rule's `params: settings=...`: a function from a job's wildcards to {name: value}.

    Args:
        values: each a value, or a function from the wildcards to one.
    """

    def settings(wildcards):
        return {name: v(wildcards) if callable(v) else v for name, v in values.items()}

    return settings
