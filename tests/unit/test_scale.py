"""Models with random weights: they have the shape that was asked for, and are measured alike."""

import json

import pytest
from collect_scale import collect_scale
from measure_scale import measure_scale

from specialist.gguf import random as random_gguf
from specialist.gguf.info import tensors
from specialist.gguf.runtime import Runtime

SHAPE = {
    "hidden": 256, "layers": 2, "heads": 4, "key_heads": 2, "intermediate": 512,
    "vocabulary": 1000,
}  # fmt: skip


@pytest.mark.parametrize(("architecture", "biases"), [("llama", 0), ("qwen2", 256 + 2 * 128)])
def test_model_has_its_shape_and_runs(tmp_path, architecture, biases):
    path = tmp_path / "F16.gguf"
    random_gguf.write(path, architecture=architecture, **SHAPE)
    attention, forward = 2 * 256 * 256 + 2 * 256 * 128, 3 * 256 * 512
    layer = attention + forward + 2 * 256 + biases
    assert sum(t["weights"] for t in tensors(path)) == 2 * layer + 2 * 1000 * 256 + 256
    with Runtime(path, 16) as model:
        assert model.vocabulary == 1000
        logits = model.logits([1, 2, 3])
    assert logits.shape == (3, 1000) and logits.std() > 0


def test_each_type_is_measured_and_no_model_is_left(tmp_path):
    file = tmp_path / "tiny.json"
    shape = SHAPE | {"architecture": "llama"}
    machine = tmp_path / "tiny.machine.json"
    measure_scale(file, machine, shape=shape, quantizations=["Q8_0", "Q4_0"], rounds=2, threads=1)
    found = json.loads(file.read_text())
    assert found["F16"]["bits_per_weight"] == pytest.approx(16, abs=0.1)
    assert found["Q8_0"]["bits_per_weight"] == pytest.approx(8.5, abs=0.1)
    assert found["Q4_0"]["bytes"] < found["Q8_0"]["bytes"] < found["F16"]["bytes"]
    for figures in found.values():
        assert figures["weights"] == found["F16"]["weights"] and figures["resident_mb"] > 10
        assert len(figures["tokens_per_second"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.json", "tiny.machine.json"}
    scale, page = tmp_path / "scale.json", tmp_path / "scale.md"
    collect_scale([file], [machine], scale, page, shapes=["tiny"])
    collected = json.loads(scale.read_text())
    assert collected["shapes"] == {"tiny": found} and collected["machines"]["tiny"]["cpus"]
    head, _, *rows, _, where = page.read_text().splitlines()
    assert [row.split(" | ")[1] for row in rows] == ["F16", "Q8_0", "Q4_0"]
    assert "1.00 ×" in rows[0] and {row.count("|") for row in rows} == {head.count("|")}
    assert where.startswith("Measured on ") and "1 used" in where
