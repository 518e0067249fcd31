"""A base that exists already goes through every step of the workflow."""

import json

import pytest

import bike_shop
import families
from project import TINY, Project

OWN = {
    "bases": {
        "own": {
            "path": "data/model", "train_tokens": 1024, "sequence": 128, "batch_tokens": 512,
        }
    },
    "adapters": {
        "own-r4": {
            "base": "own", "rank": 4, "alpha": 8, "epochs": 0.4, "batch_size": 2,
            "target_modules": ["q_proj", "v_proj"],
            "mix_general": 0.2, "general_text": "data/general.txt",
        },
        "lora-r16": None,
    },
    "systems": {
        "own-q4": {"adapter": "own-r4", "quantization": "Q4_K_M", "index": "minilm"},
        "lora-q4": None,
        "lora-q4-no-retrieval": None,
    },
    "headline": "own-q4",
    "forgetting": {"kilobytes": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A workshop's dataset and a tiny Llama in a folder, run to the end."""
    made = Project.new(tmp_path_factory.mktemp("base") / "project", TINY)
    bike_shop.write(made.folder / "data" / "bike-shop")
    families.save(made.folder / "data" / "model", "llama")
    (made.folder / "data" / "general.txt").write_text("A swan is a bird. It swims on lakes.\n")
    made.overlay(**bike_shop.CONFIG).overlay(**OWN)
    made.ran = made.run("results/agent_eval.json")
    return made


def test_a_local_model_takes_the_place_of_pretraining(project):
    assert {"fetch_tokenizer own", "fetch_base own", "continue_pretraining own"} <= project.ran
    assert not {"train_tokenizer small", "pretrain small"} & project.ran
    assert project.planned("results/agent_eval.json") == set()
    result = json.loads((project.folder / "results/agent_eval.json").read_text())
    gates = {name: gate["passed"] for name, gate in result["gates"].items()}
    assert gates["base/own/chat_ids"] and gates["gguf/own-r4/f16_logits"] and all(gates.values())
    assert result["systems"]["own-q4"]["model"]["base"] == "own"


def test_its_chat_template_is_used_throughout(project):
    folder = project.folder / "results/bike-shop"
    masks = (folder / "adapter/own-r4/masks.txt").read_text()
    assert "<|start_header_id|>assistant<|end_header_id|>\n\n[[Thought: " in masks
    assert "<|eot_id|>]]" in masks
    held_out = (folder / "gguf/own-r4/held_out.jsonl").read_text()
    assert "<|start_header_id|>" in held_out and "<|im_start|>" not in held_out


def test_general_text_is_mixed_in_and_measured(project):
    assert "mix_general own-r4" in project.ran
    folder = project.folder / "results/bike-shop"
    rows = (folder / "adapter/own-r4/mixed.train.jsonl").read_text().splitlines()
    share = sum("lakes" in row for row in rows) / len(rows)
    assert abs(share - 0.2) < 0.02
    steps = json.loads((folder / "adapter/own-r4/training.json").read_text())["conversations"]
    assert steps == len(rows)
    found = json.loads((project.folder / "results/agent_eval.json").read_text())["forgetting"]
    assert list(found["types"]) == ["F16", "Q4_K_M"] and 1000 < found["text"]["bytes"] < 4000
    for row in found["types"].values():
        assert row["ratio"] == row["bits_per_byte"] / found["base"]


def test_what_it_costs_follows_what_changed(project, fresh_copy):
    copy = fresh_copy(project)
    config = copy.folder / "data/model/config.json"
    config.write_text(config.read_text().replace("1024", "1000"))
    planned = copy.planned("results/agent_eval.json")
    assert {"fetch_base own", "train_lora own-r4"} <= planned
    assert "prepare_sft" not in planned
