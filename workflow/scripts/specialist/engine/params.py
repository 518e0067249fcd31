"""Parameters under their names, and patterns of names.

Snakemake compares the values of a rule's parameters with those of the last time as a set, without
their names: a value that another parameter had already, or two that change places, would rerun
nothing. So a rule with several parameters has them in one dict.
"""

MOST = 200  # names in a pattern
NAME = r"[^/.]+"  # what the schema takes as a name, and more


def one_of(names):
    """The pattern of a wildcard that is one of some names.

    Snakemake compiles it again for each path that holds the wildcard. With thousands of names that
    takes most of the time of a start, so there is one for all names then.
    """
    return "|".join(names) if len(names) <= MOST else NAME


def named(**values):
    """For a rule's `params: settings=...`: a function from a job's wildcards to {name: value}.

    Args:
        values: each a value, or a function from the wildcards to one.
    """

    def settings(wildcards):
        return {name: v(wildcards) if callable(v) else v for name, v in values.items()}

    return settings
