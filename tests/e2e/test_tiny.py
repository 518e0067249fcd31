"""The whole workflow, tiny: its result, its traces of work, and a user's own dataset."""

import json

import jsonschema

import bike_shop
from project import ROOT

SCHEMA = json.loads((ROOT / "workflow/schemas/agent_eval.schema.json").read_text())


def result(project):
    """results/agent_eval.json, which has the promised form."""
    found = json.loads((project.folder / "results/agent_eval.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def solved(project):
    return {name: entry["success"] for name, entry in result(project)["systems"].items()}


def test_result(tiny):
    found = result(tiny)
    assert found["dataset"] == "food-delivery"
    assert found["suite"]["n"] == 29 + 6
    assert found["systems"].keys() == {
        "oracle", "base-f16", "lora-q4", "lora-q4-no-retrieval", "lora-r2-q4",
    }  # fmt: skip
    assert found["systems"]["oracle"]["success_rate"] == 1.0
    assert found["systems"]["lora-q4"]["model"]["quant"] == "Q4_K_M"
    assert found["headline"]["success_rate"] == found["systems"]["lora-q4"]["success_rate"]
    assert found["quantization"].keys() == {"Q4_K_M"}
    assert found["gates"] and all(gate["passed"] for gate in found["gates"].values())
    assert found["leakage"]["n_leaking"] == 0


def test_summary_and_plot(tiny):
    summary = (tiny.folder / "results/summary.md").read_text()
    assert all(name in summary for name in result(tiny)["systems"])
    assert (tiny.folder / "results/systems.svg").read_text().count("<svg") == 1
    page = (tiny.folder / "results/report.html").read_text()
    assert all(f">{name}</th>" in page for name in result(tiny)["systems"])
    assert len(page.encode()) < 5_000_000


def test_every_job_leaves_a_log_and_provenance(tiny):
    logs = list((tiny.folder / "results/logs").rglob("*.log"))
    made = [json.loads(path.read_text()) for path in tiny.folder.rglob("*.provenance.json")]
    assert len(logs) == len(made) == len(tiny.ran)
    rules = {job.split()[0] for job in tiny.ran}
    assert {entry["rule"] for entry in made} == rules
    for entry in made:
        assert entry["outputs"]
        assert entry["bytes"].keys() == entry["inputs"].keys() | entry["outputs"].keys()
        assert entry["code"] and entry["hardware"] and entry["packages"]["snakemake"]
        assert entry["peak_memory_mb"] > 0 and entry["compute_s"] >= 0


def test_training_shows_its_progress(tiny):
    for rule, model in (("pretrain", "small"), ("train_lora", "lora-r16")):
        log = (tiny.folder / f"results/logs/food-delivery/{rule}/{model}.log").read_text()
        assert "step" in log and "loss" in log and "left" in log


def test_second_run_has_nothing_to_do(tiny, record_property):
    import time

    start = time.perf_counter()
    status, output = tiny.snakemake()
    record_property("seconds", time.perf_counter() - start)  # to be under 4
    assert status == 0 and "Nothing to be done" in output


def test_one_step_is_one_job_that_repeats_its_bytes(tiny, fresh_copy):
    project = fresh_copy(tiny)
    path = project.folder / "results/food-delivery/base/small/model/model.safetensors"
    before = path.read_bytes()
    ran = project.run("--force", str(path.relative_to(project.folder)))
    assert ran == {"pretrain small"}
    assert path.read_bytes() == before


def test_own_dataset(shop):
    found = result(shop)
    assert found["dataset"] == "bike-shop"
    assert found["suite"]["kinds"] == {"question": 1, "repair": 1}
    assert solved(shop)["oracle"] == 2
    assert all(gate["passed"] for gate in found["gates"].values())
    assert found["retrieval"]["n"] == 1
    assert "pretrain small" in shop.ran


def test_own_dataset_without_tools(shop, fresh_copy):
    """The agent can only search and answer; the models are those of the other dataset."""
    project = fresh_copy(shop)
    folder = project.folder / "data" / "only-search"
    bike_shop.write(folder)
    for name in ("tools.yaml", "database.sql", "sft.csv"):
        (folder / name).unlink()
    bike_shop.write_tasks(folder, [bike_shop.ASK])
    trained_on = {"dataset": "bike-shop"}
    project.overlay(
        dataset="only-search",
        datasets={"only-search": {"path": "data/only-search"}},
        bases={"small": trained_on},
        adapters={"lora-r16": trained_on},
    )
    ran = project.run()
    assert solved(project)["oracle"] == 1
    assert not any(job.startswith(("pretrain", "train_lora", "quantize")) for job in ran)
    traces = (project.folder / result(project)["systems"]["lora-q4"]["traces"]).read_text()
    assert "find_repair" not in traces
