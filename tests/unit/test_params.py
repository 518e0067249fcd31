"""What a step receives: the settings that its rule names, and no others."""

from types import SimpleNamespace

import pytest
from snakemake.iocontainers import Namedlist, Wildcards

from specialist.config.load import load
from specialist.config.params import resolver
from specialist.config.settings.adapters import Batches, DpoTraining, LoraTraining
from specialist.config.settings.bases import HubModel
from specialist.engine.contract import bind


@pytest.fixture
def settings(tmp_path):
    """The function that rules call, for two adapters."""
    config = {
        "dataset": "d",
        "datasets": {"d": {"path": str(tmp_path)}},
        "bases": {"b": {"seed": 5}},
        "adapters": {
            "one": {"base": "b", "rank": 3, "dpo": {"beta": 0.5}},
            "two": {"base": "b", "alpha": 7, "examples": 9},
        },
        "systems": {"s": {"adapter": "one"}},
        "headline": "s",
    }
    return resolver(load(config))


def resolved(function, **wildcards):
    return function(Wildcards(fromdict=wildcards))


def test_a_group_gives_its_fields_of_the_entry_and_no_others(settings):
    one, two = (resolved(settings(LoraTraining), adapter=name) for name in ("one", "two"))
    assert one.keys() == two.keys() == LoraTraining.model_fields.keys()
    assert (one["rank"], one["alpha"], one["examples"]) == (3, 32, None)
    assert (two["rank"], two["alpha"], two["examples"]) == (16, 7, 9)
    assert isinstance(two["alpha"], int)  # as it was given: 7.0 would be other text in results
    assert one["seed"] == 1


def test_groups_and_values_together(settings):
    function = settings(Batches, DpoTraining, precision=lambda w: f"of {w.adapter}", rounds=5)
    found = resolved(function, adapter="one")
    assert found["learning_rate"] == 0.0001 and found["beta"] == 0.5
    assert found["batch_size"] == 4 and "rank" not in found and "episodes" not in found
    assert found["precision"] == "of one" and found["rounds"] == 5


def test_what_is_not_set_is_none(settings):
    assert resolved(settings(HubModel), base="b") == {"hub": None, "revision": None}


def bound(step, inputs=None, **params):
    job = SimpleNamespace(
        input=Namedlist(fromdict=inputs or {}),
        output=Namedlist(fromdict={"made": "made.txt"}),
        params=Namedlist(fromdict={**params, "code": "0 a.py"}),
        threads=1,
    )
    return bind(step, job, None, None)


def test_a_step_takes_its_settings_as_one_argument_or_by_name():
    given = {"settings": {"rank": 4, "alpha": 8}}
    assert bound(lambda made, *, settings: None, **given)["settings"] == SimpleNamespace(
        rank=4, alpha=8
    )
    by_name = bound(lambda made, *, rank, alpha: None, **given)
    assert (by_name["rank"], by_name["alpha"]) == (4, 8)
    # A file of that name is a file.
    inputs = {"settings": "index.json"}
    found = bound(lambda settings, made, *, rank, alpha: None, inputs, **given)
    assert found["settings"].name == "index.json" and found["rank"] == 4


def test_a_setting_that_the_step_does_not_take_is_an_error():
    with pytest.raises(TypeError, match="alpha"):
        bound(lambda made, *, rank: None, settings={"rank": 4, "alpha": 8})
