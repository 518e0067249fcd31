"""The page of a run takes time and memory of every step before the result, and of no other."""

import json
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

import bike_shop
from overlays import OVERLAYS, write
from project import ROOT, TINY, Project
from specialist.config.load import load
from specialist.config.paths import Paths

IMPORTED = {
    "model_type": "qwen3", "vocab_size": 64, "hidden_size": 256, "intermediate_size": 512,
    "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
KINDS = {
    "tiny": {},
    "second dataset and second stage": {
        "bases": {"small": {"dataset": "city-library"}},
        "adapters": {"lora-dpo": {"base": "small", "dpo": {}}},
        "systems": {"dpo": {"adapter": "lora-dpo", "quantization": "F16"}},
    },
    "importance, words and no learned queries": {
        "quantizations": ["Q4_K_M", "Q4_K_M_IMATRIX"],
        "indexes": {"minilm": {"search": ["dense", "bm25"], "learn_from": 0}},
    },
    "imported base": {
        "bases": {"taken": {"path": "taken", "context": 1024}},
        "adapters": {"lora-r16": {"base": "taken"}},
    },
    "imported base that learns on": {
        "bases": {"taken": {"path": "taken", "context": 1024, "train_tokens": 4096}},
        "adapters": {"lora-r16": {"base": "taken"}},
    },
    "base from scratch measured on general text": {
        "adapters": {"lora-r16": {"mix_general": 0.1}},
        "forgetting": {"text": "resources/general-english/held_out.txt"},
    },
    "policies alone": {
        "headline": "oracle",
        "systems": dict.fromkeys(("base-f16", "lora-q4", "lora-q4-no-retrieval", "lora-r2-q4")),
    },
}


def steps_on_the_page(project, monkeypatch):
    """The steps whose costs the page takes, named as `Project.planned` names jobs."""
    monkeypatch.chdir(project.folder)
    config = {}
    for path in ("config/config.yaml", *project.overlays):
        update_config(config, yaml.safe_load(Path(path).read_text("utf-8")))
    paths = Paths(load(config)).costs.of_run().values()
    return {_job(*path.removesuffix(".json").split("/", 4)[1:]) for path in paths}


def _job(dataset, _, rule, name=""):
    if rule == "simulate_kb":
        return f"{rule}_{dataset}"
    if rule in ("quantize", "measure_gguf", "measure_general"):
        name = " ".join(name.rsplit(".", 1))
    return f"{rule} {name}".strip()


def steps_before_the_result(project):
    """All but those that only copy text."""
    return project.planned("results/agent_eval.json") - {
        "collect_eval", "render_prompt", "simulate_tools",
    }  # fmt: skip


@pytest.mark.parametrize("overlay", KINDS.values(), ids=KINDS)
def test_page_takes_the_costs_of_all_steps(tmp_path, monkeypatch, overlay):
    project = Project.new(tmp_path, TINY).overlay(**overlay)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/config.json").write_text(json.dumps(IMPORTED))
    (tmp_path / "taken/model.safetensors").write_bytes(b"")
    assert steps_on_the_page(project, monkeypatch) == steps_before_the_result(project)


def test_own_dataset_with_documents(tmp_path, monkeypatch):
    folder = tmp_path / "data/bike-shop"
    bike_shop.write(folder)
    (folder / "kb/more").mkdir()
    (folder / "kb/more/prices.html").write_text("<h1>Prices</h1>")
    project = Project.new(tmp_path, TINY).overlay(**bike_shop.CONFIG)
    found = steps_on_the_page(project, monkeypatch)
    assert found == steps_before_the_result(project)
    assert "convert_document more/prices.html" in found


@pytest.mark.parametrize("name", ["search-only", "classify"])
def test_datasets_without_some_parts(tmp_path, monkeypatch, name):
    project = Project.new(tmp_path, ROOT / "config" / f"{name}.yaml")
    write(tmp_path / "data/mine", OVERLAYS[name][0])
    assert steps_on_the_page(project, monkeypatch) == steps_before_the_result(project)
