"""The importance matrix: its names and figures, and that it helps."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from measure_gguf import measure_gguf
from measure_importance import measure_importance
from quantize import quantize

import tiny_models
from specialist.core.errors import UserError
from specialist.core.text import write_rows
from specialist.gguf import imatrix
from specialist.gguf.converter import convert
from specialist.gguf.info import stored, tensors

ROOT = Path(__file__).resolve().parents[2]
ASKED = ["Where is order 48?", "Cancel order 17, please!", "It is 45 minutes late.", "Thanks."]
SAID = ["It is on its way.", "Order 17 is cancelled.", "You get 12.50 back.", "Goodbye."]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model that was taught some conversations, its F16 GGUF, and its importance matrix."""
    folder = tiny_models.save_model(tmp_path_factory.mktemp("taught"))
    shutil.copy(ROOT / "resources/prompts/chat_template.jinja", folder)
    talks = [
        [{"role": "user", "content": a}, {"role": "assistant", "content": b}]
        for a, b in zip(ASKED, SAID, strict=True)
    ]
    tiny_models.teach(folder, talks)
    rows, prompt = folder / "rows.jsonl", folder / "prompt.txt"
    write_rows(rows, ({"messages": talk} for talk in talks))
    prompt.write_text("You help.")
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    files = [folder / name for name in (*names, "chat_template.jinja")]
    found = SimpleNamespace(
        folder=folder, rows=rows, f16=folder / "F16.gguf", imatrix=folder / "imatrix.gguf",
        run=lambda rows, out: measure_importance(*files, rows, prompt, out, threads=1),
    )  # fmt: skip
    convert(folder, found.f16, "tiny")
    found.run(rows, found.imatrix)
    return found


def test_every_matrix_of_the_layers_has_its_importance(made):
    found = imatrix.read(made.imatrix)
    expected = {
        tensor["name"]: tensor["shape"][0]
        for tensor in tensors(made.f16)
        if len(tensor["shape"]) > 1 and tensor["name"] != "token_embd.weight"
    }
    assert len(expected) == 14
    assert {name: len(values) for name, values in found.items()} == expected


def test_importance_is_the_mean_square_of_the_inputs(made):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(made.folder)
    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    inputs = []
    layer = model.model.layers[1].mlp.down_proj
    layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0]))
    for line in made.rows.read_text().splitlines():
        talk = [{"role": "system", "content": "You help."}, *json.loads(line)["messages"]]
        ids = tokenizer.apply_chat_template(talk, return_dict=False)
        with torch.inference_mode():
            model(torch.tensor([ids]))
    expected = torch.cat(inputs).square().mean(0).numpy()
    found = imatrix.read(made.imatrix)["blk.1.ffn_down.weight"]
    assert np.allclose(found, expected, rtol=2e-2)


def divergence(made, kind, matrix, tmp_path):
    gguf = tmp_path / "out.gguf"
    settings = SimpleNamespace(type=kind, strict=True)
    quantize(made.f16, matrix, gguf, settings=settings, threads=1)
    text = tmp_path / "text.jsonl"
    chat = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
    lines = [chat.format(a, b) for a in ASKED for b in SAID]
    tiny_models.write_texts(text, lines)
    measure_gguf(made.f16, gguf, [], text, tmp_path / "m.json", tokens=1000, rounds=1, threads=1)
    return json.loads((tmp_path / "m.json").read_text())["kl_mean"], stored(tensors(gguf))


def test_quantisation_with_the_matrix_is_closer_to_f16(made, tmp_path):
    (plain, kinds), (better, same) = (
        divergence(made, "Q4_0", matrix, tmp_path) for matrix in ([], made.imatrix)
    )
    assert 0 < better < plain
    assert kinds == same


def test_smallest_types_need_the_matrix(made, tmp_path):
    settings = SimpleNamespace(type="IQ2_XS", strict=True)
    with pytest.raises(UserError, match="refuses to quantise to IQ2_XS: .*importance matrix"):
        quantize(made.f16, [], tmp_path / "out.gguf", settings=settings, threads=1)
    _, kinds = divergence(made, "IQ2_XS", made.imatrix, tmp_path)
    assert max(kinds, key=kinds.get) == "IQ2_XS"


def test_matrix_needs_conversations(made, tmp_path):
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(UserError, match="none.jsonl: found no training conversations"):
        made.run(tmp_path / "none.jsonl", tmp_path / "out.gguf")
