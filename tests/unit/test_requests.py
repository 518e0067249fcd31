"""Jobs ask a scheduler for what preflight estimates, times the factors of the configuration."""

import json
import math
from pathlib import Path

import pytest
import yaml
from snakemake.iocontainers import Wildcards

import bike_shop
from specialist.config.load import load
from specialist.engine.digest import SCRIPTS
from specialist.preflight import requests
from specialist.preflight.check import Preflight
from specialist.preflight.machine import Machine
from specialist.preflight.volumes import volume
from test_preflight import QWEN_7B

LORA = {"dataset": "food-delivery", "adapter": "lora-r16"}


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """A function from values of `resources` to the requests of the default configuration.

    It has an adapter and a system "big" on a base of 7.6 billion weights as well.
    """
    monkeypatch.chdir(SCRIPTS.parents[1])
    text = Path("config/config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(QWEN_7B))

    def make(cores=8, **resources):
        monkeypatch.chdir(SCRIPTS.parents[1])
        loaded = load(yaml.safe_load(text) | {"resources": {"gpu": "never"} | resources})
        loaded["bases"]["7b"] = loaded["bases"]["small"] | {"path": str(tmp_path)}
        loaded["adapters"]["big"] = loaded["adapters"]["lora-r16"] | {"base": "7b"}
        loaded["systems"]["big"] = loaded["systems"]["lora-f16"] | {"adapter": "big"}
        monkeypatch.chdir(tmp_path)  # away from the data that a run has prepared in results/
        return requests.Requests(loaded, cores)

    return make


def asked(wanted, rule, wildcards, threads=2, attempt=1):
    """{name: value} of what a job asks for."""
    functions, given = wanted.of(rule), Wildcards(fromdict=wildcards)
    found = {"mem_mb": functions["mem_mb"](given, attempt)}
    found["runtime"] = functions["runtime"](given, threads, attempt)
    return found | ({"gpu": functions["gpu"](given)} if "gpu" in functions else {})


def test_memory_is_that_of_preflight(configured):
    """On the node that needs more: with bf16, or without."""
    wanted, most = configured(memory_factor=1), 0
    for bf16 in (True, False):
        machine = Machine(math.inf, 0, math.inf, bf16)
        [stage] = Preflight(wanted.config, machine).stages([("train_lora", LORA)])
        most = max(most, stage.need.ram)
    mem_mb = asked(wanted, "train_lora", LORA)["mem_mb"]
    assert mem_mb == 100 * math.ceil((most + requests.BESIDE) / 100e6) > 4000


def test_factors_and_attempts_multiply(configured):
    once = asked(configured(memory_factor=1, runtime_factor=1), "train_lora", LORA)
    factor = asked(configured(memory_factor=2, runtime_factor=2), "train_lora", LORA)
    again = asked(configured(memory_factor=1, runtime_factor=1), "train_lora", LORA, attempt=2)
    assert again == factor
    assert factor["mem_mb"] == pytest.approx(2 * once["mem_mb"] - requests.BESIDE / 1e6, abs=200)
    assert factor["runtime"] == pytest.approx(2 * once["runtime"], abs=1)


def test_more_threads_train_in_less_time(configured):
    times = [asked(configured(), "train_lora", LORA, threads)["runtime"] for threads in (1, 8)]
    assert times[0] > 5 * times[1]


@pytest.mark.parametrize(("setting", "gpu"), [("never", 0), ("always", 1)])
def test_jobs_that_compute_on_a_gpu_ask_for_one(configured, setting, gpu):
    wanted = configured(gpu=setting)
    assert asked(wanted, "train_lora", {**LORA, "adapter": "big"})["gpu"] == gpu
    assert "gpu" not in asked(wanted, "quantize", {"model": "big", "quantization": "Q4_K_M"})


def test_gpu_is_found_on_its_own(configured, monkeypatch):
    for found in ([], ["GPU-a", "GPU-b"]):
        monkeypatch.setattr(requests, "gpus", lambda key, found=found: found)
        assert asked(configured(gpu="auto"), "pretrain", {"base": "small"})["gpu"] == bool(found)


def test_training_on_a_gpu_asks_for_less_memory_and_time(configured):
    big = {**LORA, "adapter": "big"}
    slow, fast = (asked(configured(gpu=gpu), "train_lora", big) for gpu in ("never", "always"))
    assert fast["mem_mb"] < slow["mem_mb"] and fast["runtime"] < slow["runtime"] / 10


def test_large_models_generate_on_all_cores(configured):
    names = {"small": {"system": "lora-q4"}, "policy": {"system": "oracle"}}
    names |= {"big": {"system": "big"}, "file": {"model": "big", "quantization": "F16"}}
    found = {key: configured().threads(Wildcards(fromdict=given)) for key, given in names.items()}
    assert found == {"small": 1, "policy": 1, "big": 8, "file": 8}


def test_model_of_unknown_size_asks_for_a_fixed_amount(configured, tmp_path):
    (tmp_path / "config.json").unlink()
    found = asked(configured(memory_factor=1), "merge_lora", {**LORA, "adapter": "big"})
    assert found["mem_mb"] == 8400


def test_text_of_a_user_counts_by_its_files(configured, tmp_path):
    wanted = configured()
    bike_shop.write(tmp_path / "data/bike-shop")
    wanted.config["datasets"]["bike-shop"] = bike_shop.CONFIG["datasets"]["bike-shop"]
    found = volume(wanted.config, "bike-shop")
    parts = {path: path.stat().st_size for path in Path("data/bike-shop").rglob("*.*")}
    assert found.corpus == sum(n for path, n in parts.items() if path.parent.name == "corpus")
    assert 0 < found.sft <= sum(parts.values()) and found.tasks > 0
    job = {"dataset": "bike-shop"}
    before = asked(wanted, "prepare_sft", job)
    with next(Path("data/bike-shop").glob("sft.*")).open("ab") as file:
        file.truncate(1_000_000_000)  # takes no disk: nothing reads it
    after = asked(requests.Requests(wanted.config, 8), "prepare_sft", job)
    assert after["mem_mb"] > before["mem_mb"] + 6000
    assert after["runtime"] > before["runtime"] + 90


def test_a_shard_asks_for_its_part(configured, tmp_path):
    """A search holds the graphs of all shards."""
    wanted, size = configured(memory_factor=1), 10**9
    (tmp_path / "kb").mkdir()
    with open(tmp_path / "kb" / "all.md", "wb") as file:
        file.truncate(size)  # takes no room on the disk
    wanted.config["datasets"]["large"] = {"path": str(tmp_path)}
    given = wanted.config["indexes"]["minilm"] | {"dataset": "large"}
    wanted.config["indexes"] |= {"one": given, "many": given | {"shards": 10}}
    one = wanted.memory("build_chroma", {"dataset": "large", "index": "one"})
    names = {"dataset": "large", "index": "many", "shard": "3-of-10"}
    assert one - requests.PLAIN == requests.HELD * size
    assert wanted.memory("build_shard", names) - requests.PLAIN == pytest.approx(
        (one - requests.PLAIN) / 10
    )
    assert wanted.seconds("embed_shard", names, 1) < wanted.seconds(
        "embed_chunks", {"dataset": "large", "index": "one"}, 1
    ) / 9  # fmt: skip
    system = {"dataset": "food-delivery", "system": "lora-q4"}
    before = wanted.memory("run_agent", system)
    wanted.config["systems"]["lora-q4"]["index"] = "many"
    assert wanted.memory("run_agent", system) == pytest.approx(before + requests.GRAPHS * size)
    assert wanted.memory("compare_served", system) == wanted.memory("run_agent", system)


def test_a_system_that_runs_some_tasks_takes_less_time(configured):
    wanted, job = configured(), {"dataset": "food-delivery", "system": "big"}
    whole = wanted.seconds("run_agent", job, 8)
    wanted.config["systems"]["big"]["tasks"] = 10**6
    assert wanted.seconds("run_agent", job, 8) == whole
    wanted.config["systems"]["big"]["tasks"] = 13
    assert wanted.seconds("run_agent", job, 8) < whole / 5
