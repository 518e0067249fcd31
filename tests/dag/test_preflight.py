"""A run that cannot fit the machine stops before its first job, and the plan says so too."""

import pytest

from project import TINY, Project

# Fourteen billion weights, and a batch to match, which no machine that runs these tests can take.
HUGE = {"depth": 64, "batch_tokens": 65536}


@pytest.fixture
def huge(tmp_path):
    return Project.new(tmp_path, TINY).overlay(bases={"small": HUGE})


def test_run_that_cannot_fit_starts_no_job(huge):
    status, output = huge.snakemake()
    assert status != 0
    assert "pretrain small: needs" in output and "of memory" in output
    assert "bases.small: depth: " in output  # what would fit
    assert "Traceback" not in output and not (huge.folder / "results").exists()


def test_check_can_be_left_out(huge):
    huge.overlay(preflight=False)
    target = "results/food-delivery/data/tools.yaml"
    assert huge.run(target) == {"simulate_tools"}


def test_plan_tells_what_is_needed(huge):
    plan = huge.plan("results/food-delivery/base/small/model/model.safetensors")
    assert "needs at most" in plan and "pretrain small" in plan and "billion" in plan
