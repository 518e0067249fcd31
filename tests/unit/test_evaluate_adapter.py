"""What an adapter's base forgot: against its pretraining, or against an imported base itself."""

import json
import shutil

import pytest
from evaluate_adapter import evaluate_adapter
from tokenize_corpus import tokenize_corpus

from project import ROOT
from specialist.core.text import write_rows
from tiny_models import TEXTS, save_model

TURNS = [
    {"role": "user", "content": "Where is my order?"},
    {"role": "assistant", "content": "It is on its way."},
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The inputs of a model that nobody trained, for which its base was left as it is."""
    folder = tmp_path_factory.mktemp("evaluate")
    model = save_model(folder / "model", "llama")
    base = shutil.copytree(model, folder / "base")
    shutil.copyfile(ROOT / "resources/prompts/chat_template.jinja", model / "chat_template.jinja")
    named = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    tokenizer, tokenizer_config, chat_template = (model / name for name in named)
    documents = folder / "documents.jsonl"
    write_rows(documents, [{"text": text} for text in TEXTS * 4])
    held_out_tokens, stats = folder / "validation.npy", folder / "stats.json"
    tokenize_corpus(
        documents, documents, tokenizer, tokenizer_config, chat_template,
        folder / "train.npy", held_out_tokens, stats,
    )  # fmt: skip
    conversations, prompt = folder / "sft.jsonl", folder / "prompt.txt"
    write_rows(conversations, [{"messages": TURNS}] * 4)
    prompt.write_text("You help customers.")
    (folder / "training.json").write_text(json.dumps({"trainable_share": 0.05}))
    return {
        "model": model / "model.safetensors", "config": model / "config.json",
        "tokenizer": tokenizer, "tokenizer_config": tokenizer_config,
        "chat_template": chat_template, "conversations": conversations,
        "held_out": conversations, "system_prompt": prompt, "held_out_tokens": held_out_tokens,
        "stats": stats, "pretraining": [], "base": base / "model.safetensors",
        "base_config": base / "config.json", "training": folder / "training.json",
    }  # fmt: skip


def evaluated(files, folder, **changes):
    path = folder / "evaluation.json"
    evaluate_adapter(
        **files | changes, evaluation=path, examples=None, sequence=16, precision="float32",
        seed=1, threads=1,
    )  # fmt: skip
    return json.loads(path.read_text())


def test_a_model_that_is_its_base_has_forgotten_nothing(files, tmp_path):
    found = evaluated(files, tmp_path)
    assert found["forgotten"] == 0 and found["gap"] == 0
    assert found["corpus_bits_per_byte"] > 1 and found["trainable_share"] == 0.05


def test_what_is_forgotten_is_the_difference_to_an_imported_base(files, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    own = evaluated(files, tmp_path)["corpus_bits_per_byte"]
    other = shutil.copytree(files["base"].parent, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    torch.manual_seed(1)
    weights = {name: value + 0.1 * torch.randn_like(value) for name, value in weights.items()}
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    found = evaluated(files, tmp_path, base=other / "model.safetensors")
    back = evaluated(files | {"model": other / "model.safetensors"}, tmp_path, base=files["base"])
    assert found["corpus_bits_per_byte"] == own
    assert found["forgotten"] == pytest.approx(-back["forgotten"]) != 0


def test_a_base_that_was_pretrained_here_is_not_read_again(files, tmp_path):
    pretraining = tmp_path / "pretraining.json"
    pretraining.write_text(json.dumps({"bits_per_byte": 2.5}))
    found = evaluated(files, tmp_path, pretraining=pretraining, base=[], base_config=[])
    assert found["forgotten"] == found["corpus_bits_per_byte"] - 2.5


def test_without_documents_nothing_is_said_of_forgetting(files, tmp_path):
    none = dict.fromkeys(("held_out_tokens", "stats"), [])
    found = evaluated(files, tmp_path, **none)
    assert found.keys() == {"held_out_loss", "train_loss", "gap", "trainable_share"}
