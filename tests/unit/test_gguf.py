"""From a Hugging Face model to GGUF: conversion, its gates, quantisation, measurement."""

import json

import pytest

import tiny_models
from convert_gguf import convert_gguf
from specialist.step import UserError

CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def convert(folder, out, text, **files):
    """Run the step on a model folder; returns the GGUF and the gates."""
    names = {
        "model": "model.safetensors",
        "config": "config.json",
        "tokenizer": "tokenizer.json",
        "tokenizer_config": "tokenizer_config.json",
        "chat_template": "chat_template.jinja",
    }
    inputs = {key: folder / name for key, name in names.items()} | files
    out.mkdir(exist_ok=True)
    gguf, gate = out / "f16.gguf", out / "gate.json"
    convert_gguf(**inputs, text=text, gguf=gguf, gate=gate, name="tiny", threads=1)
    return gguf, json.loads(gate.read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A function that makes a tiny model's folder."""

    def make(kind="qwen3", **options):
        folder = tiny_models.save_model(tmp_path_factory.mktemp(kind), kind, **options)
        (folder / "chat_template.jinja").write_text(CHAT)
        return folder

    return make


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return tiny_models.write_texts(tmp_path_factory.mktemp("text") / "validation.jsonl")


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_converted_model_has_the_same_tokens_and_logits(kind, model, text, tmp_path):
    gguf, gates = convert(model(kind), tmp_path, text)
    assert gguf.stat().st_size > 2_000_000
    assert gates["token_ids"] == {"value": 0, "limit": 0, "passed": True}
    assert 0 < gates["f16_logits"]["value"] < 0.01
    assert gates["f16_logits"]["passed"]


def test_same_model_gives_the_same_bytes(model, text, tmp_path):
    first, _ = convert(model(), tmp_path / "a", text)
    second, _ = convert(model(), tmp_path / "b", text)
    assert first.read_bytes() == second.read_bytes()


def test_gguf_carries_the_template_and_adds_no_start_token(model, text, tmp_path):
    from gguf import GGUFReader

    gguf, _ = convert(model(), tmp_path, text)
    fields = GGUFReader(gguf).fields
    assert fields["tokenizer.chat_template"].contents() == CHAT
    assert fields["tokenizer.ggml.pre"].contents() == "llama-bpe"
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False


def test_tokenizer_that_splits_otherwise_is_refused(model, text, tmp_path):
    folder = model(split=r"\p{N}+|\s*\p{L}+|\s+|[^\s\p{L}\p{N}]+")
    with pytest.raises(UserError, match="tokenizer.json: pre_tokenizer: .*Train the tokenizer"):
        convert(folder, tmp_path, text)
    assert list(tmp_path.iterdir()) == []


def test_tokenizer_with_other_ids_fails_the_gate(model, text, tmp_path):
    # A tokenizer.json that claims the pre-tokenizer but turns blanks into underscores first.
    folder = model()
    data = json.loads((folder / "tokenizer.json").read_text())
    data["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "_"}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="gate failed: Hugging Face model against F16 GGUF: token_"):
        convert(folder, tmp_path, text)
    assert list(tmp_path.iterdir()) == []


def test_unknown_architecture_is_refused(model, text, tmp_path):
    folder = model()
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["NoSuchModel"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="architectures: llama.cpp does not know 'NoSuchModel'"):
        convert(folder, tmp_path, text)


def test_missing_converter_is_told_with_the_remedy(model, text, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.prefix", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="make .venv"):
        convert(model(), tmp_path, text)
