"""A system whose model another program serves trains nothing, unless it is compared."""

import pytest

from project import Project, jobs

SCORES = "results/food-delivery/agent/far/scores.json"
# Nothing listens there: a plan does not need the address.
ENGINE = {"url": "http://127.0.0.1:9/v1", "model": "m"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.new(tmp_path_factory.mktemp("served") / "project")


def planned(project, folder, target, **system):
    far = {"adapter": "lora-r16", "engine": ENGINE, **system}
    copy = project.copy(folder).overlay(systems={"far": far})
    status, said = copy.snakemake("-n", target)
    assert status == 0, said
    return jobs(said)


def test_its_base_lends_the_tokenizer_alone(project, tmp_path):
    found = planned(project, tmp_path / "copy", SCORES)
    assert found == {
        "simulate_corpus", "prepare_corpus", "simulate_tools", "simulate_tasks",
        "prepare_tasks", "train_tokenizer small", "run_served far", "score far",
    }  # fmt: skip


def test_it_is_compared_with_the_gguf_of_its_type(project, tmp_path):
    found = planned(
        project, tmp_path / "copy", "results/agent_eval.json", index="minilm", quantization="Q4_K_M"
    )
    assert {"run_served far", "compare_served far", "score far", "quantize lora-r16 Q4_K_M"} < found
    assert "run_agent far" not in found and "run_agent lora-q4" in found
