"""Training in two processes takes the steps of one, also after one of them was killed."""

import contextlib
import csv
import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import yaml

from project import ROOT
from specialist.config.experiments import lay_out
from specialist.config.load import load
from specialist.config.paths import Paths
from specialist.core.errors import UserError
from specialist.core.shares import shares
from specialist.core.text import write_rows
from specialist.engine import processes
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.tracking import Tracking
from specialist.preflight.requests import Requests
from specialist.train.processes import owners
from tiny_models import byte_level_bpe, save_model

WORKER = "specialist.engine.worker"
STEPS = 24
BASE = {
    "depth": 1, "sequence": 64, "context": 64, "batch_tokens": 256, "learning_rate": 0.003,
    "muon_learning_rate": 0.01, "weight_decay": 0.01, "warmup_share": 0.03, "precision": "fp32",
    "seed": 1, "train_tokens": 256 * STEPS,
}  # fmt: skip
ADAPTER = {
    "method": "lora", "rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear",
    "learning_rate": 0.01, "batch_size": 2, "gradient_accumulation": 2, "epochs": 2,
    "packing": False, "examples": None, "max_length": 256, "gradient_checkpointing": False,
    "seed": 1, "precision": "fp32", "pretrained_on": 0,
}  # fmt: skip

PAPER = {"seeds": [2, 3], "sweeps": {"method": {"method": ["lora", "qlora"]}}}


def default():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def losses(path):
    with open(path, newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def outputs(folder, **names):
    folder.mkdir()
    return {name: folder / file for name, file in names.items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The inputs of `pretrain`: random documents that repeat themselves."""
    folder = tmp_path_factory.mktemp("corpus")
    tokenizer = byte_level_bpe()
    tokenizer.save_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    draw = np.random.default_rng(1)
    documents = [np.tile(draw.integers(10, 300, 12), 2) for _ in range(120)]
    tokens = np.concatenate([[*document, end] for document in documents]).astype(np.uint16)
    np.save(folder / "train.npy", tokens)
    np.save(folder / "validation.npy", tokens[:700])
    (folder / "stats.json").write_text(json.dumps({"held_out": {"tokens": 700, "bytes": 2000}}))
    return {
        "tokens": folder / "train.npy", "held_out_tokens": folder / "validation.npy",
        "stats": folder / "stats.json", "tokenizer": folder / "tokenizer.json",
    }  # fmt: skip


def pretraining(corpus, folder, seconds=1000):
    """(arguments of `pretrain`, names of its outputs)"""
    made = outputs(
        folder, model="model.safetensors", config="config.json", curve="loss.csv",
        figures="figures.json",
    )  # fmt: skip
    given = {
        "settings": SimpleNamespace(**BASE), "threads": 2, "tracking": Tracking(),
        "checkpoints": Checkpoints(folder / "checkpoints", seconds),
    }  # fmt: skip
    return corpus | made | given, list(made)


def workers():
    """The training processes that this one started."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if WORKER in words and not any("accelerate" in word for word in words):
                found[int(process.environ()["RANK"])] = process
    return found


def test_pretraining_goes_on_after_a_process_was_killed(corpus, tmp_path, capfd):
    """The losses and the weights are those of one process that nobody killed."""
    from safetensors.numpy import load_file

    from pretrain import pretrain

    given, _ = pretraining(corpus, tmp_path / "alone")
    pretrain(**given)
    given, made = pretraining(corpus, tmp_path / "together", seconds=0)
    script, said = processes.SCRIPTS / "pretrain/pretrain_in_processes.py", []

    def kill():
        while not any(path.name.isdecimal() for path in given["checkpoints"].folder.glob("*")):
            time.sleep(0.01)
        workers()[1].kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(UserError, match="one of the 2 processes .* continues from its last"):
        processes.launch(script, given, made, 2)
    killer.join()
    assert not given["model"].exists() and not workers()
    memory = processes.launch(script, given, made, 2)
    said = capfd.readouterr().out
    assert said.count("goes on from step") == 1  # the first process alone speaks
    assert memory > 2 * 150  # MB of two processes with torch
    alone, together = (tmp_path / name for name in ("alone", "together"))
    np.testing.assert_allclose(losses(together / "loss.csv"), losses(alone / "loss.csv"), rtol=1e-4)
    assert losses(alone / "loss.csv")[-1] < losses(alone / "loss.csv")[0] - 0.5  # it learns
    found, right = (
        json.loads((folder / "figures.json").read_text()) for folder in (together, alone)
    )
    assert found["held_out_loss"] == pytest.approx(right["held_out_loss"], rel=1e-4)
    assert len(found["samples"]) == len(right["samples"])
    weights, expected = (load_file(folder / "model.safetensors") for folder in (together, alone))
    for name, value in expected.items():
        np.testing.assert_allclose(weights[name], value, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def chats(tmp_path_factory, resources):
    """The inputs of `train_lora`: a random base and conversations of different length."""
    folder = save_model(tmp_path_factory.mktemp("base"))
    template = (resources / "prompts/chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template)
    rows = [
        {"messages": [
            {"role": "user", "content": "Where is my order?" + number % 4 * " It's late!"},
            {"role": "assistant", "content": f"It is {number % 3} minutes away."},
        ]}
        for number in range(16)
    ]  # fmt: skip
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "validation.jsonl", rows[:5])
    (folder / "system_prompt.txt").write_text("Help.")
    return {
        "conversations": folder / "train.jsonl", "held_out": folder / "validation.jsonl",
        "model": folder / "model.safetensors", "config": folder / "config.json",
        "tokenizer": folder / "tokenizer.json",
        "tokenizer_config": folder / "tokenizer_config.json",
        "chat_template": folder / "chat_template.jinja",
        "system_prompt": folder / "system_prompt.txt", "pretraining_tokens": [],
    }  # fmt: skip


def test_fine_tuning_in_two_processes_is_that_of_one(chats, tmp_path):
    from safetensors.numpy import load_file
    from train_lora import train_lora

    found = {}
    for name in ("alone", "together"):
        folder = tmp_path / name
        made = outputs(
            folder, adapter="adapter_model.safetensors", adapter_config="adapter_config.json",
            figures="training.json", masks="masks.txt", curve="loss.csv",
        )  # fmt: skip
        given = chats | made | {
            "settings": SimpleNamespace(**ADAPTER), "threads": 2, "tracking": Tracking(),
            "checkpoints": Checkpoints(folder / "checkpoints", 1000),
        }  # fmt: skip
        if name == "alone":
            train_lora(**given)
        else:
            script = processes.SCRIPTS / "adapt/train_lora_in_processes.py"
            processes.launch(script, given, list(made), 2)
        figures = json.loads(given["figures"].read_text())
        found[name] = losses(given["curve"]), figures, load_file(given["adapter"])
    (curve, figures, weights), (right_curve, right, expected) = found["together"], found["alone"]
    np.testing.assert_allclose(curve, right_curve, rtol=1e-4)
    assert figures["steps"] == right["steps"] == 8
    assert figures["held_out_loss"] == pytest.approx(right["held_out_loss"], rel=1e-4)
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(weights[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "batch, processes, share",
    [((4, 2), 1, (4, 2)), ((4, 2), 2, (4, 1)), ((4, 2), 4, (2, 1)), ((4, 2), 8, (1, 1)),
     ((6, 4), 3, (2, 4)), ((2, 6), 4, (1, 3))],
)  # fmt: skip
def test_processes_share_a_step(batch, processes, share):
    assert shares(*batch, processes) == share
    assert share[0] * share[1] * processes == batch[0] * batch[1]


def test_work_of_muon_is_divided_evenly():
    shapes = 4 * [(256, 256)] + 4 * [(128, 256)] + 12 * [(768, 256)]
    for count in (2, 3, 4):
        found = owners(shapes, count)
        assert set(found) == set(range(count))
        work = np.zeros(count)
        for (rows, columns), owner in zip(shapes, found, strict=True):
            work[owner] += rows * columns * min(rows, columns)
        assert work.max() < 1.2 * work.mean()
    assert owners(shapes, 1) == [0] * len(shapes)


@pytest.mark.parametrize(
    "section, changes, told",
    [
        ("bases", {"processes": 0}, "bases.small.processes: found 0"),
        ("bases", {"processes": 3, "sequence": 256, "batch_tokens": 2048},
         "bases.small.processes: found 3, expected a divisor of 8, the rows in a batch "
         r"\(batch_tokens / sequence\): 1, 2, 4, 8"),
        ("adapters", {"processes": 3},
         "adapters.lora-r16.processes: found 3, expected a divisor of 8, the conversations in a "
         r"step \(batch_size x gradient_accumulation\): 1, 2, 4, 8"),
        ("adapters", {"processes": 2, "method": "qlora"},
         "adapters.lora-r16.processes: method qlora trains in one process; remove it"),
        ("adapters", {"processes": "two"}, "adapters.lora-r16.processes: found"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_refused(section, changes, told):
    config = default()
    config[section]["small" if section == "bases" else "lora-r16"] |= changes
    with pytest.raises(UserError, match=told):
        load(config)


def test_more_processes_ask_for_more_and_run_another_script():
    config = default()
    alone = Requests(load(config), 8)
    config["bases"]["small"] |= {"processes": 2, "sequence": 256, "batch_tokens": 2048}
    config["adapters"]["lora-r16"]["processes"] = 4
    loaded = load(config)
    asked, files = Requests(loaded, 8), Paths(loaded)
    for rule, names, count in (
        ("pretrain", {"base": "small"}, 2), ("train_lora", {"adapter": "lora-r16"}, 4),
        ("merge_lora", {"adapter": "lora-r16"}, 1),
    ):  # fmt: skip
        assert asked.processes(rule, names) == count and alone.processes(rule, names) == 1
        least = 1 if count == 1 else 1.2
        assert asked.memory(rule, names) >= least * alone.memory(rule, names)
    assert files.models.script("adapt/train_lora.py", "lora-r16") == (
        "adapt/train_lora_in_processes.py"
    )
    assert Paths(load(default())).models.script("pretrain/pretrain.py", "small") == (
        "pretrain/pretrain.py"
    )


def test_fewer_gpus_than_processes_are_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UserError, match="processes: found 4, expected at most 2, the GPUs"):
        processes.launch("any.py", {"threads": 8}, [], 4)


REFUSING = """
from specialist.core.errors import UserError

def refusing(**given):
    raise UserError(f"row 3 is empty, and {given['threads']} threads")
"""


def test_what_a_process_refuses_is_told(tmp_path):
    script = tmp_path / "refusing.py"
    script.write_text(REFUSING)
    with pytest.raises(UserError, match="^row 3 is empty, and 4 threads$"):
        processes.launch(script, {"threads": 8}, [], 2)


def test_cells_of_the_paper_train_in_one_process_each():
    config = default() | {"paper": "small", "papers": {"small": PAPER}}
    config["bases"]["small"] |= {"batch_tokens": 2304, "processes": 2}
    config["adapters"]["lora-r16"]["processes"] = 2
    laid, _ = lay_out(load(config))
    for section, own in (("bases", "small"), ("adapters", "lora-r16")):
        counts = {name: entry.get("processes", 1) for name, entry in laid[section].items()}
        assert len(counts) > 2 and counts.pop(own) == 2 and set(counts.values()) == {1}
