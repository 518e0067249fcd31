"""What a step receives: its rule's named inputs, outputs and parameters, as arguments.

This module and checkpoints.py are the contract between the engine and the steps. A change of
either can change what a step computes, so version.py has to follow; a test compares the two.
"""

import inspect
from pathlib import Path
from types import SimpleNamespace


def bind(function, snakemake, checkpoints, tracking):
    """Match the rule's named input, output and params to the function's arguments.

    Args:
        function: the step; each of its arguments is a name in exactly one of the rule's
            input, output and params, or `threads`, `checkpoints` or `tracking`. The names in the
            dict `settings` of params are arguments of their own, unless the step takes `settings`.
        snakemake: the object that Snakemake gives to a script.
        checkpoints: `specialist.engine.checkpoints.Checkpoints` of this run.
        tracking: `specialist.engine.tracking.Tracking` of this run.

    Returns:
        dict of keyword arguments; paths are `pathlib.Path`, lists stay lists, `settings` has its
        names as attributes.

    Raises:
        TypeError: a name is missing, unknown or declared twice.
    """
    given, wanted = {}, inspect.signature(function).parameters
    files = {*snakemake.input.keys(), *snakemake.output.keys()}
    if "settings" in wanted and "settings" not in files:
        params = dict(snakemake.params.items())
        params["settings"] = SimpleNamespace(**params["settings"])
    else:
        params = flat(snakemake.params)
    for section in (snakemake.input, snakemake.output, params):
        for name, value in section.items():
            if name in given:
                raise TypeError(f"{function.__name__}: '{name}' is declared twice in its rule")
            given[name] = value if section is params else _paths(value)
    # `code` only tells Snakemake when to rerun a step; see specialist/engine/digest.py.
    # `cost` is an output that the engine writes; see specialist/engine/step.py.
    for name in ("code", "cost"):
        given.pop(name, None)
    own = {"threads": snakemake.threads, "checkpoints": checkpoints, "tracking": tracking}
    given |= {name: value for name, value in own.items() if name in wanted}
    inspect.signature(function).bind(**given)
    return given


def _paths(value):
    return Path(value) if isinstance(value, str) else [Path(item) for item in value]


def flat(params):
    """{name: value} of a job's parameters, those in `settings` beside the others."""
    params = dict(params.items())
    return params.pop("settings", {}) | params
