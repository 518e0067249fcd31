"""Keys of other entries that stand in the paper and its benchmarks: checked as in those entries."""

from pydantic import ValidationError

from specialist.config.mistakes import explain
from specialist.config.settings.adapters import Adapter
from specialist.config.settings.bases import Base
from specialist.config.settings.datasets import Dataset

GROUPS = {"datasets": Dataset, "bases": Base, "adapters": Adapter}
# Where they stand in a version of the paper, and the section of the entry that they change.
PLACES = {
    ("changes", "dataset"): "datasets",
    ("changes", "base"): "bases",
    ("own_base",): "bases",
    ("reference",): "adapters",
    ("whole",): "adapters",
}


def check(config):
    """Yield (place, mistake) for changes that the entry would refuse."""
    for name, entry in config.get("benchmarks", {}).items():
        for place, text in _mistakes("bases", entry.get("pretraining", {})):
            yield ("benchmarks", name, "pretraining", *place), text
    for name, entry in config.get("papers", {}).items():
        for keys, section in PLACES.items():
            values = entry
            for key in keys:
                values = values.get(key, {})
            for place, text in _mistakes(section, values):
                yield ("papers", name, *keys, *place), text
        for sweep, lists in entry["sweeps"].items():
            for key, values in lists.items():
                for index, value in enumerate(values):
                    for (_, *inner), text in _mistakes("adapters", {key: value}):
                        last = (index, *inner) if key in Adapter.model_fields else ()
                        yield ("papers", name, "sweeps", sweep, key, *last), text


def _mistakes(section, values):
    """(place, text) of what is wrong with some keys of an entry."""
    try:
        GROUPS[section].model_validate(values)
    except ValidationError as error:
        found, _ = explain(error, (section, "any"))
        return [(place[2:], text) for place, text in sorted(found) if place[2] in values]
    return []
