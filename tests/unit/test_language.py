"""One long text: how it is cut and measured, and a tiny real run of what measures pretraining."""

import functools
import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from measure_pretraining import measure_pretraining
from tokenize_corpus import tokenize_corpus
from train_tokenizer import train_tokenizer

from specialist.core.errors import UserError
from specialist.core.shape import shape
from specialist.core.text import write_rows
from specialist.report import curves
from specialist.train import language
from specialist.train.pretraining import base_model
from specialist.train.sampling import sample
from toy_dataset import read

WORDS = ("the", "king", "spoke", "and", "his", "men", "came", "to", "a", "gate", "where", "old")
SETTINGS = SimpleNamespace(
    depth=1, context=64, sequence=32, batch_tokens=128, train_tokens=128 * 24,
    learning_rate=0.01, muon_learning_rate=0.02, weight_decay=0.0, warmup_share=0.1,
    precision="fp32", seed=1, points=4, sample_tokens=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return base_model(shape(1, 300), context=64, end=0).eval()


def test_text_begins_with_the_mark_that_ended_it(tmp_path):
    np.save(tmp_path / "text.npy", np.array([5, 6, 7, 8, 0], dtype=np.uint16))
    assert language.one_text(tmp_path / "text.npy", 3).tolist() == [0, 5, 6, 7, 8]
    with pytest.raises(UserError, match="found 4 tokens of text, expected more than the 4"):
        language.one_text(tmp_path / "text.npy", 4)


def test_windows_begin_anywhere_and_stay_within_the_text():
    found = language.windows(np.arange(12), 500, 8, np.random.default_rng(1))
    assert {tuple(row) for row in found.tolist()} == {
        tuple(range(begin, begin + 9)) for begin in range(4)
    }


@pytest.mark.parametrize("length", [9, 10, 17, 24, 25])
def test_each_token_is_measured_once_from_those_before_it_in_its_window(model, length):
    ids = np.random.default_rng(2).integers(1, 300, length)
    expected = 0.0
    with torch.inference_mode():
        for place in range(1, length):
            begin = (place - 1) // 8 * 8
            logits = model(torch.from_numpy(ids[begin:place])[None]).logits[0, -1]
            expected -= logits.log_softmax(-1)[ids[place]].item()
    loss_of = functools.partial(language.loss_of, model)
    assert language.nats_of(loss_of, ids, 8, "cpu") == pytest.approx(expected, rel=1e-4)


def test_sample_is_the_same_for_the_same_seed(model):
    one, again, other = (sample(model, [5, 6], 10, seed, "cpu") for seed in (1, 1, 2))
    assert len(one) == 10 and one == again != other


@pytest.fixture(scope="module")
def learned(tmp_path_factory, resources):
    """Folder of a text of 12 words with its tokens, after a short training."""
    folder, draw = tmp_path_factory.mktemp("language"), random.Random(1)
    parts = [folder / "train.jsonl", folder / "validation.jsonl"]
    for path, count in zip(parts, (3000, 400), strict=True):
        write_rows(path, [{"text": " ".join(draw.choices(WORDS, k=count))}])
    template, tokenizer = resources / "prompts/chat_template.jinja", folder / "tokenizer.json"
    others = folder / "tokenizer_config.json", folder / "chat_template.jinja"
    train_tokenizer(parts[0], template, tokenizer, *others, vocab_size=300)
    made = [folder / name for name in ("train.npy", "validation.npy", "stats.json")]
    tokenize_corpus(*parts, tokenizer, others[0], template, *made)
    outputs = folder / "curve.jsonl", folder / "times.jsonl"
    measure_pretraining(*made, tokenizer, *outputs, settings=SETTINGS, threads=1)
    return folder


def test_text_is_learned(learned):
    rows = read(learned / "curve.jsonl")
    bits = [row["bits_per_byte"] for row in rows]
    assert [row["tokens"] for row in rows] == [768, 1536, 2304, 3072]
    # Words at random need log2(12) bits each, 0.8 for a byte; nothing can do better.
    assert 0.8 < bits[-1] < bits[0]
    assert bits[-1] < 2
    assert all(row["sample"] for row in rows)


def test_times_are_beside_the_curve_and_not_in_it(learned, tmp_path):
    times = [row["seconds"] for row in read(learned / "times.jsonl")]
    assert times == sorted(times) and times[0] > 0
    made = [learned / name for name in ("train.npy", "validation.npy", "stats.json")]
    again = tmp_path / "curve.jsonl"
    measure_pretraining(
        *made,
        learned / "tokenizer.json",
        again,
        tmp_path / "times.jsonl",
        settings=SETTINGS,
        threads=1,
    )
    assert again.read_bytes() == (learned / "curve.jsonl").read_bytes()


def test_points_of_a_benchmark_have_their_time(learned):
    files = {"curve": str(learned / "curve.jsonl"), "times": str(learned / "times.jsonl")}
    points = list(curves.points(**files))
    assert [point["tokens"] for point in points] == [768, 1536, 2304, 3072]
    found = list(curves.figures(**files))
    assert found[0] == (None, files["curve"], {"bits_per_byte": points[-1]["bits_per_byte"]})
    assert found[1] == (None, files["times"], {"training_seconds": points[-1]["seconds"]})


def test_bits_of_a_base_are_those_of_its_losses(tmp_path):
    losses, stats, figures = (str(tmp_path / name) for name in ("loss.csv", "stats", "figures"))
    # Two tokens of eight bytes; losses from 100 to 1 nats, times ln 2 to make whole bits.
    rows = [f"{step},{(101 - step) * math.log(2)}" for step in range(1, 101)]
    (tmp_path / "loss.csv").write_text("\n".join(["step,loss", *rows]))
    (tmp_path / "stats").write_text(json.dumps({"train": {"tokens": 2, "bytes": 8}}))
    (tmp_path / "figures").write_text(json.dumps({"tokens": 6400, "bits_per_byte": 3.0}))
    files = {"losses": losses, "stats": stats, "pretraining": figures}
    points = list(curves.points(**files))
    assert len(points) == curves.PARTS
    assert points[-1] == {"tokens": 6368.0, "bits_per_byte": pytest.approx(0.375), "file": losses}
    found = {cell: value["bits_per_byte"] for cell, _, value in curves.figures(**files)}
    assert found == pytest.approx({"first tenth": 95.5 / 4, "last tenth": 5.5 / 4, "held out": 3.0})
