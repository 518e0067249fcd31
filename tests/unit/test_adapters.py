"""Each way to adapt a base, from training to the merge and its gates, on a tiny random model."""

import inspect
import json
from types import SimpleNamespace

import pytest
import torch
from collect_preferences import _done, collect_preferences
from merge_lora import merge_lora
from peft import LoraConfig
from prepare_preferences import prepare_preferences
from safetensors.torch import load_file
from train_dpo import train_dpo
from train_lora import train_lora
from transformers import AutoModelForCausalLM, AutoTokenizer

from specialist.core.errors import UserError
from specialist.core.text import read_rows, write_rows
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.tracking import Tracking
from specialist.train.adapters import check_targets, load_base, peft_config
from specialist.train.attention import implementation
from specialist.train.conversations import draw, encode, with_system_prompt
from specialist.train.finetuning import assistant_loss, packed_collator, trainer_class
from tiny_models import TEXTS, write_texts

SETTINGS = {
    "method": "lora", "rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear",
    "learning_rate": 0.01, "batch_size": 4, "gradient_accumulation": 1,
    "gradient_checkpointing": False, "packing": False, "examples": None, "epochs": 1,
    "max_length": 256, "precision": "fp32", "seed": 1,
}  # fmt: skip
CALL = 'Thought: late\nAction: {"name": "refund", "arguments": {"percent": 37}}'
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def conversations(count):
    for number in range(count):
        yield {
            "messages": [
                {"role": "user", "content": f"Where is order {number}?"},
                {"role": "assistant", "content": f"It is {number * 7 % 13} minutes late."},
            ]
        }


class Adapter:
    """An adapter of the tiny model, trained and merged in a folder."""

    def __init__(self, base, folder, **settings):
        self.folder, self.settings = folder, {**SETTINGS, **settings}
        write_rows(folder / "train.jsonl", conversations(24))
        write_rows(folder / "held_out.jsonl", conversations(4))
        (folder / "prompt.txt").write_text("You help.")
        (folder / "merged").mkdir()
        self.files = {
            "model": base / "model.safetensors",
            "config": base / "config.json",
            "system_prompt": folder / "prompt.txt",
            "pretraining_tokens": [],
            "adapter": folder / "adapter_model.safetensors",
            "adapter_config": folder / "adapter_config.json",
            "figures": folder / "training.json",
            "masks": folder / "masks.txt",
            "curve": folder / "loss.csv",
            "text": write_texts(folder / "text.jsonl", TEXTS[:3]),
            "merged": folder / "merged/model.safetensors",
            "merged_config": folder / "merged/config.json",
            "gate": folder / "gate.json",
            **{name.split(".")[0]: base / name for name in TOKENIZER},
        }

    def _call(self, step, **given):
        settings = SimpleNamespace(**self.settings | given)
        given = {**self.files, **self.settings, "settings": settings, "threads": 1, **given}
        step(**{name: given[name] for name in inspect.signature(step).parameters})

    def train(self, tracking=None):
        """What training.json says."""
        self._call(
            train_lora,
            conversations=self.folder / "train.jsonl",
            held_out=self.folder / "held_out.jsonl",
            checkpoints=Checkpoints(self.folder / "checkpoints", 1000),
            tracking=tracking or Tracking(),
        )
        return json.loads(self.files["figures"].read_text())

    def merge(self):
        """What the gates say."""
        self._call(merge_lora, conversations=self.folder / "held_out.jsonl")
        return json.loads(self.files["gate"].read_text())

    def loss(self, model=None):
        """Held-out loss of a model in a folder; of the merged one, if none is named."""
        return assistant_loss(
            AutoModelForCausalLM.from_pretrained(model or self.folder / "merged"),
            AutoTokenizer.from_pretrained(self.files["tokenizer"].parent),
            with_system_prompt(self.folder / "held_out.jsonl", "You help."),
        )


def gradients(model, rows):
    """Gradients of the parameters that have some, after a loss on token ids."""
    model(input_ids=rows, labels=rows).loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("method", ["lora", "dora", "rslora"])
def test_merged_model_has_the_loss_that_was_trained(chat_model, tmp_path, method):
    adapter = Adapter(chat_model, tmp_path, method=method)
    figures = adapter.train()
    assert figures["held_out_loss"] < adapter.loss(chat_model) - 1
    assert 0 < figures["trainable_share"] < 0.05
    assert adapter.merge().keys() == {"merge_logits"}
    assert adapter.loss() == pytest.approx(figures["held_out_loss"], abs=1e-3)


def test_variants_are_what_they_are_called():
    given = {"rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear"}
    plain = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    assert peft_config("lora", **given).to_dict() == plain.to_dict()
    assert peft_config("qlora", **given).to_dict() == plain.to_dict()
    assert peft_config("dora", **given).use_dora and peft_config("rslora", **given).use_rslora
    assert peft_config("full", **given) is None


def test_fewer_examples_are_among_more():
    few, more = (draw(24, count, seed=1) for count in (8, 16))
    assert few == more[:8] and len({*more}) == 16 and {*more} < {*range(24)}
    assert draw(24, 8, seed=2) != few
    assert draw(24, None, seed=1) == [*range(24)]
    with pytest.raises(UserError, match="found 24 training conv.* at least the 25"):
        draw(24, 25, seed=1)


def test_long_conversation_is_named_by_its_line_if_it_is_drawn(chat_model):
    rows = [{"messages": [{"role": "system", "content": "Help."}, *row["messages"]]}
            for row in conversations(4)]  # fmt: skip
    rows[2]["messages"][1]["content"] *= 40
    tokenizer = AutoTokenizer.from_pretrained(chat_model)
    whole = encode("a.jsonl", rows[:2], tokenizer, 100)
    assert encode("a.jsonl", rows, tokenizer, 100, [1, 0]) == whole[::-1]
    with pytest.raises(UserError, match=r"^a.jsonl:3: 1 conversation"):
        encode("a.jsonl", rows, tokenizer, 100, [3, 2, 0])


def test_full_fine_tuning_is_taken_as_it_is(chat_model, tmp_path):
    adapter = Adapter(chat_model, tmp_path, method="full", learning_rate=0.001)
    figures = adapter.train()
    assert figures["trainable_share"] == 1
    assert figures["held_out_loss"] < adapter.loss(chat_model) - 1
    assert adapter.merge() == {}
    assert adapter.loss() == pytest.approx(figures["held_out_loss"], abs=1e-3)
    before, after = (load_file(adapter.files[name]) for name in ("model", "merged"))
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_qlora_is_merged_into_the_base_that_is_not_quantised(chat_model, tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    layer = load_base(chat_model, method="qlora").model.layers[0].self_attn.q_proj
    assert layer.weight.quant_type == "nf4" and layer.weight.dtype == torch.uint8
    assert layer.compute_dtype == torch.bfloat16 and layer.weight.quant_state.nested
    adapter = Adapter(chat_model, tmp_path, method="qlora")
    figures = adapter.train()
    assert figures["held_out_loss"] < adapter.loss(chat_model) - 1
    gates = adapter.merge()
    assert gates.keys() == {"merge_logits", "merge_loss"}
    cost = adapter.loss() - figures["held_out_loss"]
    assert gates["merge_loss"]["value"] == pytest.approx(cost, abs=0.05)  # bf16
    assert gates["merge_loss"]["value"] != 0
    # Layers that got no update are those of the base, to the bit.
    before, after = (load_file(adapter.files[name]) for name in ("model", "merged"))
    embeddings = "model.embed_tokens.weight"
    assert torch.equal(before[embeddings], after[embeddings])


def test_qlora_learns_with_right_gradients_after_an_evaluation(chat_model):
    """Those of a model that has the values of the 4-bit weights in full precision."""
    functional = pytest.importorskip(
        "bitsandbytes.functional", reason="bitsandbytes is not installed"
    )
    quantised, plain = (load_base(chat_model, method=method) for method in ("qlora", "lora"))
    for name, layer in quantised.named_modules():
        if hasattr(getattr(layer, "weight", None), "quant_state"):
            values = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
            plain.get_submodule(name).weight.data = values.float()
    rows, found = torch.arange(10, 60)[None], []
    for model in (quantised, plain):
        model.requires_grad_(False)
        model.model.embed_tokens.weight.requires_grad_(True)  # behind all of the layers
        with torch.inference_mode():
            model.eval()(input_ids=rows)
        found.append(gradients(model.train(), rows).float())
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


def test_gradient_checkpointing_changes_no_result(chat_model, tmp_path):
    found = []
    for on in (False, True):
        folder = tmp_path / str(on)
        folder.mkdir()
        found.append(Adapter(chat_model, folder, gradient_checkpointing=on).train())
    assert [figures.pop("hardly_seen") for figures in found] == [[], []]
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_packing_makes_fewer_rows_of_the_same_conversations(chat_model, tmp_path):
    adapter = Adapter(chat_model, tmp_path, packing=True, batch_size=1)
    figures = adapter.train()
    assert figures["conversations"] == 24 and figures["steps"] < 12
    assert figures["held_out_loss"] < adapter.loss(chat_model)
    assert adapter.files["masks"].read_text().count("minutes late") > 3  # in the first three rows
    adapter.merge()
    assert adapter.loss() == pytest.approx(figures["held_out_loss"], abs=1e-3)


@pytest.mark.parametrize("attention", ["sdpa", "products"])
def test_packed_conversations_do_not_see_each_other(chat_model, attention):
    implementation("bf16")  # makes "products" known
    model = load_base(chat_model, attention=attention)
    lengths = [12, 30, 7, 19]
    alone = [list(range(5 + 40 * n, 5 + 40 * n + length)) for n, length in enumerate(lengths)]
    labels = [[-100] * 4 + ids[4:] for ids in alone]
    packed = [
        {"input_ids": alone[a] + alone[b], "labels": labels[a] + labels[b],
         "seq_lengths": [lengths[a], lengths[b]]}
        for a, b in ((0, 1), (2, 3))
    ]  # fmt: skip
    separate = [
        {"input_ids": ids, "labels": marks} for ids, marks in zip(alone, labels, strict=True)
    ]
    collate = packed_collator(0)
    loss = trainer_class().compute_loss
    found = [loss(None, model, collate(rows)).item() for rows in (packed, separate)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    joined = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in packed]
    assert loss(None, model, collate(joined)).item() != pytest.approx(found[1], rel=1e-3)


def test_target_that_matches_nothing_is_refused_before_training(chat_model, tmp_path):
    check_targets("adapters.a", chat_model, ["q_proj", "down_proj"])
    adapter = Adapter(chat_model, tmp_path, target_modules=["q_proj", "gate_up_prj"])
    with pytest.raises(UserError, match="found gate_up_prj; did you mean gate_proj.*expected all"):
        adapter.train()
    assert not adapter.files["masks"].exists()


def test_dpo_moves_towards_the_chosen_side(chat_model, tmp_path):
    adapter = Adapter(chat_model, tmp_path)
    adapter.train()
    (tmp_path / "dpo").mkdir()
    rows = [
        {"prompt": row["messages"][:1], "chosen": row["messages"][1:],
         "rejected": [{"role": "assistant", "content": f"Ask the rider, {number}."}]}
        for number, row in enumerate(conversations(24))
    ]  # fmt: skip
    write_rows(tmp_path / "preferences.jsonl", rows)
    parts = [tmp_path / f"dpo/preferences.{split}.jsonl" for split in ("train", "validation")]
    places = [path.with_suffix(".places") for path in parts]
    given = {"validation_share": 0.2, "seed": 1}
    prepare_preferences([tmp_path / "preferences.jsonl"], *parts, *places, **given)
    lora = {name: adapter.files[name] for name in ("adapter", "adapter_config")}
    adapter.files |= {name: tmp_path / "dpo" / path.name for name, path in lora.items()}
    adapter._call(
        train_dpo,
        preferences=parts[0],
        held_out_preferences=parts[1],
        held_out=tmp_path / "held_out.jsonl",
        lora=lora["adapter"],
        lora_config=lora["adapter_config"],
        figures=tmp_path / "dpo/training.json",
        beta=0.1,
        checkpoints=Checkpoints(tmp_path / "checkpoints", 1000),
        tracking=Tracking(),
    )
    figures = json.loads((tmp_path / "dpo/training.json").read_text())
    assert figures["preferences"] + len(parts[1].read_text().splitlines()) == 24
    assert figures["before"]["reward_accuracy"] == 0
    assert figures["after"]["reward_accuracy"] == 1
    assert adapter.merge()["merge_logits"]["passed"]
    assert adapter.loss() == pytest.approx(figures["after"]["held_out_loss"], abs=1e-3)
    assert not list((tmp_path / "dpo").glob("ref"))


def test_preferences_are_collected_where_the_adapter_does_something_else(chat_model, tmp_path):
    """A model that has learnt no protocol is wrong everywhere, and what it says is kept."""
    adapter = Adapter(chat_model, tmp_path)
    adapter.train()
    adapter._call(
        collect_preferences,
        practice=tmp_path / "held_out.jsonl",
        lora=adapter.files["adapter"],
        lora_config=adapter.files["adapter_config"],
        preferences=tmp_path / "collected.jsonl",
        max_new_tokens=8,
    )
    rows = list(read_rows(tmp_path / "collected.jsonl"))
    chosen = [row["messages"][1:] for row in conversations(4)]
    assert sorted(map(str, chosen)) == sorted(str(row["chosen"]) for row in rows)
    assert all(row["prompt"][-1]["role"] == "user" for row in rows)
    assert all(row["rejected"] != row["chosen"] for row in rows)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (CALL, CALL.replace("late", "delay"), True),
        (CALL, CALL.replace("37", "38"), False),
        (CALL, "Thought: done\nAnswer: 37 percent.", False),
        ("Thought: a\nAnswer: You get 3.50 back.", "Thought: b\nAnswer: I paid 3.50.", True),
        ("Thought: a\nAnswer: You get 3.50 back.", "Thought: a\nAnswer: You get 3.05.", False),
        ("no protocol", "none either", False),
    ],
)
def test_turns_are_compared_by_what_they_do(one, other, same):
    assert (_done(one) == _done(other)) == same


def test_wrong_preferences_are_named(tmp_path):
    asked = [{"role": "user", "content": "Where?"}]
    good = {"prompt": asked, "chosen": _says("Here."), "rejected": _says("There.")}
    bad = [
        good | {"rejected": good["chosen"]},
        good | {"chosen": {"role": "assistant"}},
        good | {"rejected": []},
        good | {"prompt": asked + _says("Wait.")},
        {"prompt": asked, "chosen": _says("Here.")},
    ]
    write_rows(tmp_path / "p.jsonl", [good, *bad])
    with pytest.raises(UserError) as refused:
        out = [tmp_path / name for name in "abcd"]
        prepare_preferences([tmp_path / "p.jsonl"], *out, validation_share=0.5, seed=1)
    lines = str(refused.value).splitlines()[1:]
    assert [line.split("p.jsonl:")[1][0] for line in lines] == ["2", "3", "4", "5", "5", "6"]
    assert "the same as in chosen" in lines[0] and "expected text" in lines[1]


def _says(text):
    return [{"role": "assistant", "content": text}]
