"""The configuration: checked against its classes and in itself, with defaults filled in."""

import copy
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError

from specialist.config import changes
from specialist.config.mistakes import explain
from specialist.config.settings.fields import Settings
from specialist.config.settings.run import CHECKS, Config, inherit
from specialist.core.errors import UserError

LONGEST = 50  # mistakes that are listed


def load(config):
    """Check a configuration and complete it.

    Args:
        config: dict, as Snakemake read it; it is not changed. A key that is None is left out
            at every level, so an overlay can remove an entry or a setting.

    Returns:
        A new dict with every setting that has a default. Every base, adapter and index has a
        "dataset", every base and adapter a "seed", and every system with a model a
        "quantization".

    Raises:
        UserError: lists every mistake by its place, with what is allowed there.
    """
    config, mistakes = _without_nulls(config), set()
    try:
        completed = Config.model_validate(config).model_dump(exclude_none=True)
    except ValidationError as error:
        mistakes, wrong = explain(error)
        completed = copy.deepcopy(config)
        for place in wrong:
            _drop(completed, place)
        _fill(completed, Config)
    inherit(completed)
    for check in (*CHECKS, changes.check):
        for place, text in check(completed):
            # A value that was refused already leaves its surroundings incomplete.
            if not any(other[: len(place)] == place for other, _ in mistakes):
                mistakes.add((place, text))
    if mistakes:
        lines = sorted(f"{'.'.join(map(str, place))}: {text}" for place, text in mistakes)
        rest = [f"... and {len(lines) - LONGEST} more"] if len(lines) > LONGEST else []
        head = f"config: {len(lines)} mistake(s)"
        raise UserError("\n  ".join([head, *lines[:LONGEST], *rest]))
    return completed


def _without_nulls(value):
    """The same without the keys whose value is None."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def _drop(config, place):
    """Remove a wrong value, so that the rest can still be checked."""
    *parents, key = place
    parent = config
    for step in parents:
        parent = parent[step]
    if isinstance(parent, list):
        parent[key] = None
    elif len(parents) == 1:
        parent[key] = {}  # an entry: references to its name are right
    else:
        parent.pop(key, None)


def _fill(values, group):
    """Set the defaults of a class in place, where `values` could not be validated as a whole."""
    for key, field in group.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if key not in values and not field.is_required() and default is not None:
            dumped = isinstance(default, BaseModel)
            values[key] = default.model_dump(exclude_none=True) if dumped else copy.copy(default)
        inner, named = _group_of(field.annotation)
        if inner and isinstance(values.get(key), dict):
            for item in values[key].values() if named else [values[key]]:
                _fill(item, inner)


def _group_of(annotation):
    """(class of settings in a type, or None; whether it stands in a dict by name)."""
    named = get_origin(annotation) is dict
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, Settings):
            return option, named
    return None, named
