"""General text: what a model forgets is measured, and text is mixed in against it."""

import json
import math
import shutil

import pytest
import torch
from measure_general import measure_general
from mix_general import mix_general
from transformers import AutoModelForCausalLM, AutoTokenizer

from specialist.core.errors import UserError
from specialist.core.files import sha256
from specialist.core.text import read_rows, write_rows
from specialist.report.forgetting import compare
from specialist.train.conversations import encode, with_system_prompt

TEXT = "Café\n\nThe order is late. It is 45 minutes late!\n\nRefunds are paid at once, 日本語 too."
TALK = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes."}]}


def measured(gguf, text, tmp_path, kilobytes=40):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    measure_general(
        gguf, tmp_path / "text.txt", tmp_path / "out.json", kilobytes=kilobytes, threads=1
    )
    return json.loads((tmp_path / "out.json").read_text())


def nats(folder, text):
    """Negative log-likelihood of a text after an empty line, by Transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    start, ids = (tokenizer(part, add_special_tokens=False).input_ids for part in ("\n", text))
    with torch.inference_mode():
        logits = model(torch.tensor([start + ids])).logits[0, len(start) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids), reduction="sum").item()


def test_bits_per_byte_are_those_of_transformers(chat_model, tmp_path):
    found = measured(chat_model / "f16.gguf", TEXT, tmp_path)
    size = len(TEXT.encode())
    expected = nats(chat_model, TEXT) / math.log(2) / size
    assert found["bits_per_byte"] == pytest.approx(expected, rel=2e-3)
    assert (found["bytes"], found["sha256"]) == (size, sha256(tmp_path / "text.txt"))


def test_long_texts_are_read_in_passages(chat_model, tmp_path):
    """Every byte counts once, also where one passage has more tokens than a window."""
    text = "\n\n".join(f"{i}. " + "日本語" * 400 for i in range(5))
    found = measured(chat_model / "f16.gguf", text, tmp_path)
    assert found["bytes"] == len(text.replace("\n\n", "").encode())
    assert found["tokens"] > 5 * 512
    part = measured(chat_model / "f16.gguf", text, tmp_path, kilobytes=5)
    assert 5000 <= part["bytes"] < found["bytes"]


def test_ratio_is_to_the_base():
    base, f16, q4 = (
        {"bits_per_byte": bits, "bytes": 40_000, "sha256": "0" * 64} for bits in (0.8, 1.0, 0.6)
    )
    found = compare("some.txt", [base, f16, q4], ["F16", "Q4_K_M"])["forgetting"]
    assert found["base"] == 0.8
    assert found["types"]["F16"] == {"bits_per_byte": 1.0, "ratio": 1.25}
    assert found["types"]["Q4_K_M"]["ratio"] == pytest.approx(0.75)
    assert compare("some.txt", [], []) == {}


@pytest.fixture
def mix(tmp_path, resources):
    """A function that mixes a text into conversations; returns (all rows, those of the text)."""
    write_rows(tmp_path / "sft.jsonl", [TALK] * 9)
    shutil.copy(resources / "general-english/train.txt", tmp_path)

    def run(text=None, held_out=None, **settings):
        if text is not None:
            (tmp_path / "train.txt").write_text(text)
        mix_general(
            tmp_path / "sft.jsonl", tmp_path / "train.txt",
            held_out or resources / "general-english/held_out.txt",
            tmp_path / "mixed.jsonl", tmp_path / "general.jsonl",
            **{"share": 0.25, "max_length": 512, "seed": 1} | settings,
        )  # fmt: skip
        return [*read_rows(tmp_path / "mixed.jsonl")], [*read_rows(tmp_path / "general.jsonl")]

    return run


def test_share_of_the_rows_is_general_text(mix, resources):
    rows, general = mix()
    assert rows == [TALK] * 9 + general and len(general) == 3
    text = (resources / "general-english/train.txt").read_text(encoding="utf-8")
    for row in general:
        system, opening, rest = row["messages"]
        assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
        assert f"{opening['content']} {rest['content']}" in text
        assert len(opening["content"]) < len(rest["content"])
    assert mix()[1] == general and mix(seed=2)[1] != general
    assert len(mix(share=0)[1]) == 0


def test_short_texts_are_used_again(mix):
    _, general = mix("One two three.", share=0.5)
    assert len(general) == 9 and general[0] == general[8]


def test_batches_hold_the_text_with_loss(mix, chat_model, tmp_path):
    """What `train_lora` makes of the rows: the continuation carries loss, under no agent prompt."""
    mix()
    tokenizer = AutoTokenizer.from_pretrained(chat_model)
    path = tmp_path / "mixed.jsonl"
    rows = with_system_prompt(path, "You are the agent.")
    found = encode(path, rows, tokenizer, 4096)
    talk, general = found[0], found[-1]
    assert "You are the agent." in tokenizer.decode(talk["input_ids"])
    assert "You are the agent." not in tokenizer.decode(general["input_ids"])
    learned = [
        token
        for token, own in zip(general["input_ids"], general["assistant_masks"], strict=True)
        if own
    ]
    rest = rows[-1]["messages"][-1]["content"]
    assert tokenizer.decode(learned) == f"{rest}<|im_end|>"


def test_rows_fit_the_longest_conversation(mix, chat_model, tmp_path):
    mix(max_length=300)
    tokenizer = AutoTokenizer.from_pretrained(chat_model)
    rows = [*read_rows(tmp_path / "general.jsonl")]
    assert max(len(turn["content"]) for row in rows for turn in row["messages"]) <= 600
    assert len(encode("general.jsonl", rows, tokenizer, 4096)) == 3


def test_text_that_measures_forgetting_is_not_learned(mix, resources):
    held_out = resources / "general-english/held_out.txt"
    paragraph = held_out.read_text().split("\n\n")[3]
    with pytest.raises(UserError, match=r"1 paragraph\(s\) stand in .*held_out.txt too"):
        mix(f"Something else.\n\n{paragraph}\n")


def test_a_text_needs_two_words(mix):
    with pytest.raises(UserError, match="no passage of two words"):
        mix("Word")
