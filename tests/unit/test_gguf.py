"""From a Hugging Face model to GGUF: conversion, its gates, quantisation, measurement."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from convert_gguf import convert_gguf
from measure_gguf import measure_gguf
from quantize import quantize as quantize_step

import tiny_models
from specialist.core.errors import UserError
from specialist.gguf.converter import refuse_twins
from specialist.gguf.info import bits_per_weight, stored, tensors
from specialist.gguf.runtime import Runtime
from tiny_models import TEXTS, write_texts

CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def quantize(f16, gguf, *, type, threads, strict=False, imatrix=()):
    """Run the step."""
    settings = SimpleNamespace(type=type, strict=strict)
    quantize_step(f16, imatrix, gguf, settings=settings, threads=threads)


def convert(folder, out, text, **files):
    """Run the step on a model folder; returns the GGUF and the gates."""
    names = {
        "model": "model.safetensors",
        "config": "config.json",
        "tokenizer": "tokenizer.json",
        "tokenizer_config": "tokenizer_config.json",
        "chat_template": "chat_template.jinja",
    }
    inputs = {key: folder / name for key, name in names.items()} | {"sentencepiece": []} | files
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
    assert 0 < gates["f16_logits"]["value"] < 0.03
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
    with pytest.raises(UserError, match="`make` installs it"):
        convert(model(), tmp_path, text)


@pytest.fixture(scope="module")
def f16(model, text, tmp_path_factory):
    return convert(model(), tmp_path_factory.mktemp("f16"), text)[0]


@pytest.mark.parametrize(("kind", "bits"), [("Q8_0", 8.5), ("Q4_K_M", 5.0)])
def test_quantised_file_has_the_bits_of_its_type(kind, bits, f16, tmp_path):
    gguf = tmp_path / "out.gguf"
    quantize(f16, gguf, type=kind, threads=1)
    assert bits_per_weight(gguf) == pytest.approx(bits, abs=0.6)
    matrices = [t for t in tensors(gguf) if len(t["shape"]) > 1]
    assert len(matrices) == 15
    assert {t["type"][:2] for t in matrices} <= {kind[:2], "Q6"}
    for tensor in matrices:
        assert (
            tensor["bits_per_weight"] == {"Q8_0": 8.5, "Q4_K": 4.5, "Q6_K": 6.5625}[tensor["type"]]
        )


def test_quantised_bytes_do_not_depend_on_threads(f16, tmp_path):
    quantize(f16, tmp_path / "1.gguf", type="Q4_K_M", threads=1)
    quantize(f16, tmp_path / "2.gguf", type="Q4_K_M", threads=2)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "2.gguf").read_bytes()


@pytest.mark.parametrize(
    ("kind", "message"), [("Q4_X", "'Q4_X' is unknown .*Q4_K_M"), ("IQ1_S", "requires an imatrix")]
)
def test_type_that_cannot_be_made_is_refused(kind, message, f16, tmp_path, capfd):
    with pytest.raises(UserError, match=message):
        quantize(f16, tmp_path / "out.gguf", type=kind, threads=1)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_rows_that_a_type_cannot_take_are_stored_in_a_related_type(model, text, tmp_path, capsys):
    narrow, _ = convert(model(hidden=192), tmp_path, text)
    made = tmp_path / "out.gguf"
    with pytest.raises(UserError, match="rows of 192 .*Q4_K_M, .* multiples of 256.*`strict`"):
        quantize(narrow, made, type="Q4_K_M", strict=True, threads=1)
    assert not made.exists()
    quantize(narrow, made, type="Q4_K_M", threads=1)
    kinds = stored(tensors(made))
    # Rows of 192 and of 384 are stored in Q5_0 and Q8_0 in place of Q4_K and Q6_K.
    assert kinds == {"Q5_0": 12, "Q8_0": 3}
    said = capsys.readouterr().out
    assert "stored 15 tensors with other rows in other types" in said
    assert "matrices: 12 Q5_0, 3 Q8_0" in said
    quantize(narrow, made, type="Q8_0", strict=True, threads=1)
    assert stored(tensors(made)) == {"Q8_0": 15}


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    lines = [f"Order {n} is {n % 50} minutes late, {text}" for n in range(4) for text in TEXTS]
    return write_texts(tmp_path_factory.mktemp("held_out") / "test.jsonl", lines)


def measured(f16, gguf, text, out, tokens=2000, base=()):
    measure_gguf(f16, gguf, base, text, out, tokens=tokens, rounds=1, threads=1)
    return json.loads(out.read_text())


def test_quality_falls_with_the_bits(f16, held_out, tmp_path):
    found = {}
    for kind in ("Q8_0", "Q4_K_M", "Q2_K"):
        gguf = tmp_path / f"{kind}.gguf"
        quantize(f16, gguf, type=kind, threads=1)
        found[kind] = measured(f16, gguf, held_out, tmp_path / "m.json", base=f16)
        assert found[kind]["base_kl_mean"] == found[kind]["kl_mean"]
        assert sum(found[kind]["stored"].values()) == 15
    found = {"F16": measured(f16, f16, held_out, tmp_path / "m.json")} | found
    assert (found["F16"]["kl_mean"], found["F16"]["base_kl_mean"]) == (0, None)
    assert found["F16"]["same_top_token"] == found["F16"]["ratio_to_f16"] == 1
    assert found["F16"]["perplexity"] == found["F16"]["f16_perplexity"]
    for better, worse in pairwise(found.values()):
        assert better["bytes"] > worse["bytes"]
        assert better["ratio_to_f16"] > worse["ratio_to_f16"]
        assert better["bits_per_weight"] > worse["bits_per_weight"]
        assert better["kl_mean"] < worse["kl_mean"]
        assert better["same_top_token"] >= worse["same_top_token"]
    assert found["Q2_K"]["same_top_token"] < 1


def test_perplexity_is_that_of_the_hugging_face_model(model, text, held_out, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model()
    gguf, _ = convert(folder, tmp_path, text)
    found = measured(gguf, gguf, held_out, tmp_path / "m.json", tokens=10**6)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reference = AutoModelForCausalLM.from_pretrained(folder)
    losses = torch.tensor([])
    for line in held_out.read_text().splitlines():
        ids = torch.tensor(tokenizer(json.loads(line)["text"])["input_ids"])
        with torch.inference_mode():
            logits = reference(ids[None]).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
        losses = torch.cat([losses, loss])
    assert found["tokens"] == len(losses)
    assert found["perplexity"] == pytest.approx(losses.mean().exp().item(), rel=0.01)


def test_measures_repeat_but_for_the_speed(f16, held_out, tmp_path):
    first, second = (measured(f16, f16, held_out, tmp_path / "m.json", 300) for _ in range(2))
    assert all(value > 0 for value in first.pop("speed").values())
    second.pop("speed")
    assert first == second
    assert 300 <= first["tokens"] < 400


def test_text_without_tokens_cannot_be_measured_on(f16, tmp_path):
    empty = write_texts(tmp_path / "empty.jsonl", ["", "x"])
    with pytest.raises(UserError, match="empty.jsonl: no text of two tokens"):
        measured(f16, f16, empty, tmp_path / "m.json")


def shorter(data):
    return data[: len(data) // 2]


def other_version(data):
    return data[:4] + b"\xff\xff\xff\x7f" + data[8:]


def endless_text(data):
    place = data.index(b"general.architecture") + len(b"general.architecture") + 4
    return data[:place] + b"\xff" * 8 + data[place + 8 :]


@pytest.mark.parametrize("damage", [shorter, other_version, endless_text, lambda data: b""])
def test_damaged_gguf_is_refused(damage, f16, tmp_path):
    path = tmp_path / "damaged.gguf"
    path.write_bytes(damage(f16.read_bytes()))
    for use in (
        Runtime,
        tensors,
        lambda path: quantize(path, tmp_path / "q", type="Q8_0", threads=1),
    ):
        with pytest.raises(UserError, match="damaged.gguf: "):
            use(path)
    assert not (tmp_path / "q").exists()


def test_a_check_that_ends_the_process_is_told(f16, tmp_path):
    """Two tokens with one text: llama.cpp aborts, and no debugger is started."""
    path = tmp_path / "twins.gguf"
    one = (1).to_bytes(8, "little")
    path.write_bytes(f16.read_bytes().replace(one + b"b", one + b"a", 1))
    scripts = Path(__file__).parents[2] / "workflow/scripts"
    code = "import sys; from specialist.gguf.runtime import Runtime; Runtime(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(scripts)},
    )
    assert done.returncode == -signal.SIGABRT
    assert "Error: llama.cpp stopped (" in done.stdout and not done.stderr


def test_token_under_two_ids_is_refused():
    refuse_twins(["a", b"b"])
    with pytest.raises(UserError, match="added_tokens: found 'a' under two ids"):
        refuse_twins(["a", b"b", "a"])
