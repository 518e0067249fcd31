"""Every family of open bases goes through all steps and their gates, with random weights."""

import json
import re
from types import SimpleNamespace

import pytest
from convert_gguf import convert_gguf
from fetch_base import fetch_base
from fetch_tokenizer import fetch_tokenizer
from merge_lora import merge_lora
from quantize import quantize
from render_text import render_text
from run_agent import run_agent
from train_dpo import train_dpo
from transformers import AutoTokenizer

import families
from specialist.bases.templates import talks
from specialist.core.text import write_rows
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.tracking import Tracking
from specialist.train.conversations import encode_preferences, preference_rows
from tiny_steps import FILES, SETTINGS, check_modelfile, train

# What is put before the family's own template, and its pad token.
EXPECTED = {
    "llama": ("tool_as_user", "<|finetune_right_pad_id|>"),
    "llama-2": ("tool_as_user and system_in_user", "<unk>"),
    "qwen2": ("as it is", "<|endoftext|>"),
    "qwen3": ("as it is", "<|endoftext|>"),
    "mistral": ("tool_as_user and system_in_user", "[control_8]"),
    "gemma": ("tool_as_user and system_in_user", "<pad>"),
    "phi-3": ("tool_as_user", "<|dummy_0|>"),
    "phi-4": ("as it is", "<|dummy_0|>"),
}
END = {"llama": "<|eot_id|>", "llama-2": "</s>", "mistral": "</s>", "gemma": "<end_of_turn>",
       "phi-3": "<|end|>", "phi-4": "<|end|>"}  # fmt: skip
TOOLS = """\
- name: refund
  description: Pay.
  parameters: {type: object, properties: {order: {type: string}}, required: [order]}
  returns: SELECT 1 AS paid
"""
METHODS = {"qwen2": "qlora", "mistral": "qlora"}  # as the overlays for 7B have it
TASK = {"id": "a", "kind": "b", "message": "Where is order 48-213?", "expect": {}}


def take_over(source, folder, turns, **changes):
    """Run both steps that take a base over; returns {name: path} of its files."""
    for part in ("tokenizer", "model"):
        (folder / part).mkdir(parents=True)
    files = sorted(path for path in source.iterdir() if path.is_file())
    tokens = {
        "tokenizer": folder / "tokenizer/tokenizer.json",
        "tokenizer_config": folder / "tokenizer/tokenizer_config.json",
        "chat_template": folder / "tokenizer/chat_template.jinja",
    }
    piece = folder / "tokenizer/sentencepiece.model"
    place = {"base": "own", "hub": None, "revision": None}
    uses = {"gguf": False, "context": 512, "targets": {}, "quantizations": ["Q4_K_M"]}
    settings = place | uses | changes
    gate = folder / "tokenizer/gate.json"
    fetch_tokenizer(files, turns, **tokens, sentencepiece=piece, gate=gate, **settings)
    model = {"model": folder / "model/model.safetensors", "config": folder / "model/config.json"}
    fetch_base(files, tokens["tokenizer"], **model, **place)
    return tokens | model | {"sentencepiece": piece, "gate": gate}


@pytest.fixture(scope="module")
def turns(resources):
    return sorted((resources / "prompts/turns").glob("*.jinja"))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_family_goes_through_every_step(family, turns, tmp_path, capsys):
    if family in METHODS:
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    base = take_over(families.save(tmp_path / family, family), tmp_path / "base", turns)
    gates = json.loads(base["gate"].read_text())
    assert [gates[name]["value"] for name in ("chat_ids", "turns_without_end")] == [0, 0]
    way, pad = EXPECTED[family]
    assert f"chat template: {way}\n" in capsys.readouterr().out
    assert json.loads(base["tokenizer_config"].read_text())["pad_token"] == pad

    rows, prompt, text = (tmp_path / name for name in ("sft.jsonl", "system.txt", "held_out.jsonl"))
    write_rows(rows, ({"messages": talk[1:]} for talk in talks() * 2))
    prompt.write_text("You help.")
    template = {"template": base["chat_template"], "tokenizer_config": base["tokenizer_config"]}
    render_text([], rows, prompt, **template, text=text)

    method = METHODS.get(family, "lora")
    adapter, masks = train(base, rows, prompt, method, tmp_path)
    learned = re.findall(r"\[\[(.*?)\]\]", masks.read_text(), re.DOTALL)
    said = [turn["content"] for turn in talks()[0] if turn["role"] == "assistant"]
    end = END.get(family, "<|im_end|>")
    assert [turn.strip() for turn in learned[:3]] == [words + end for words in said]

    merged = {"merged": tmp_path / "merged.d/model.safetensors",
              "merged_config": tmp_path / "merged.d/config.json"}  # fmt: skip
    merged["merged"].parent.mkdir()
    gate = tmp_path / "gate.json"
    merge_lora(
        **{name: base[name] for name in FILES}, **adapter, text=text, conversations=rows,
        system_prompt=prompt, **merged, gate=gate, method=method, threads=1,
    )  # fmt: skip
    expected = {"lora": ["merge_logits"], "qlora": ["merge_logits", "merge_loss"]}
    assert list(json.loads(gate.read_text())) == expected[method]

    tokens = {name: base[name] for name in FILES[2:]} | {"sentencepiece": base["sentencepiece"]}
    f16, q4 = tmp_path / "F16.gguf", tmp_path / "Q4_K_M.gguf"
    convert_gguf(
        merged["merged"], merged["merged_config"], **tokens, text=text, gguf=f16, gate=gate,
        name=family, threads=1,
    )  # fmt: skip
    assert json.loads(gate.read_text())["token_ids"]["value"] == 0
    quantize(f16, [], q4, settings=SimpleNamespace(type="Q4_K_M", strict=True), threads=1)

    tasks, tools, traces = (tmp_path / name for name in ("tasks.jsonl", "tools.yaml", "traces"))
    write_rows(tasks, [TASK])
    tools.write_text(TOOLS)
    check_modelfile(q4, turns[0].parents[1] / "react.jinja", tools, base, tmp_path / "Modelfile")
    run_agent(
        tasks, tools, [], q4, [], [], [], [], [], [], turns[0].parents[1] / "react.jinja", traces,
        tmp_path / "times", policy="model", rules=True, trials=1, sample=None, max_steps=2,
        max_messages=12, customer=None, parallel=2, context=512, max_new_tokens=24, top_k=1,
        search={}, seed=1, threads=1,
    )  # fmt: skip
    step = json.loads(traces.read_text())["steps"][0]
    assert step["prompt_tokens"] > 0 and step["generated_tokens"] > 0


def test_preferences_are_learned_in_the_words_of_the_template(turns, tmp_path):
    """Qwen 3's own would open the last turn with a thought, which the agent never writes."""
    base = take_over(families.save(tmp_path / "qwen3", "qwen3"), tmp_path / "base", turns)
    rows, prompt = tmp_path / "sft.jsonl", tmp_path / "system.txt"
    write_rows(rows, ({"messages": talk[1:]} for talk in talks() * 2))
    prompt.write_text("You help.")
    lora, _ = train(base, rows, prompt, "lora", tmp_path)
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in ("Yes.", "No."))
    preferences = [
        {"prompt": talk[1:2], "chosen": chosen, "rejected": rejected} for talk in talks()
    ]
    write_rows(tmp_path / "preferences.jsonl", preferences)

    tokenizer = AutoTokenizer.from_pretrained(base["tokenizer"].parent)
    found = encode_preferences(
        "preferences.jsonl",
        preference_rows(tmp_path / "preferences.jsonl", "You help."),
        tokenizer,
        512,
    )
    for row, talk in zip(found, talks(), strict=True):
        told = [{"role": "system", "content": "You help."}, talk[1]]
        asked = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        assert tokenizer.decode(row["prompt_ids"]) == asked
        for side, text in (("chosen", "Yes."), ("rejected", "No.")):
            assert tokenizer.decode(row[f"{side}_ids"]) == f"{text}<|im_end|>"

    (tmp_path / "dpo").mkdir()
    train_dpo(
        *[tmp_path / "preferences.jsonl"] * 2, rows, **{name: base[name] for name in FILES},
        system_prompt=prompt, lora=lora["adapter"], lora_config=lora["adapter_config"],
        adapter=tmp_path / "dpo/adapter_model.safetensors",
        adapter_config=tmp_path / "dpo/adapter_config.json",
        figures=tmp_path / "dpo/training.json", curve=tmp_path / "dpo/loss.csv",
        settings=SimpleNamespace(**SETTINGS, method="lora", beta=0.1), threads=1,
        checkpoints=Checkpoints(tmp_path / "checkpoints", 1000), tracking=Tracking(),
    )  # fmt: skip
    figures = json.loads((tmp_path / "dpo/training.json").read_text())
    assert figures["after"]["reward_accuracy"] == 1
