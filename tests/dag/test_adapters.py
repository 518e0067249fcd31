"""Jobs of adapters of other kinds: what their own stages need, and nothing of other adapters."""

import bike_shop
from project import TINY, Project

GATE = "results/{}/adapter/{}/merge_gate.json"
OWN = {"prepare_preferences lora-dpo", "train_dpo lora-dpo"}


def with_dpo(folder, **entry):
    project = Project.new(folder, TINY)
    return project.overlay(adapters={"lora-dpo": {"base": "small", "dpo": {}, **entry}})


def test_dpo_of_a_simulated_dataset_learns_from_its_own_mistakes(tmp_path):
    project = with_dpo(tmp_path)
    planned = project.planned(GATE.format("food-delivery", "lora-dpo"))
    found = {"simulate_practice lora-dpo", "collect_preferences lora-dpo"}
    assert OWN | found | {"train_lora lora-dpo", "merge_lora lora-dpo"} < planned
    assert not any("tasks" in job or "lora-r16" in job for job in planned)
    # The default's own jobs are what they were.
    assert not any("dpo" in job for job in project.planned())


def test_dpo_of_an_own_dataset_needs_its_preferences(tmp_path):
    project = with_dpo(tmp_path)
    bike_shop.write(tmp_path / "data/bike-shop")
    project.overlay(**bike_shop.CONFIG)
    target = GATE.format("bike-shop", "lora-dpo")
    status, said = project.snakemake("--dry-run", target)
    assert status != 0
    assert "found no preferences in data/bike-shop, expected" in said
    (tmp_path / "data/bike-shop/preferences.jsonl").write_text("{}\n")
    planned = project.planned(target)
    assert planned > OWN and "collect_preferences lora-dpo" not in planned
