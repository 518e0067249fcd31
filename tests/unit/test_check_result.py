"""The check of a finished result that CI ends with."""

import copy

import pytest

from check_result import FLOOR, problems
from test_agent_eval_schema import VALID


@pytest.fixture
def result():
    return copy.deepcopy(VALID)


def test_good_result_has_no_problems(result):
    assert problems(result) == []


def test_failed_gate_and_low_headline_are_named(result):
    result["gates"]["f16_logits"] = {"value": 0.7, "limit": 0.05, "passed": False}
    result["headline"]["success_rate"] = FLOOR - 0.01
    assert problems(result) == [
        "gate f16_logits failed: 0.7 (limit 0.05)",
        f"lora-q4 solves {FLOOR - 0.01:.3f}, below {FLOOR}",
    ]


def test_wrong_form_is_named_with_its_place(result):
    del result["gates"]
    result["headline"]["success_rate"] = 1.5
    found = problems(result)
    assert len(found) == 2
    assert any("'gates' is a required property" in line for line in found)
    assert any(line.startswith("$.headline.success_rate: 1.5") for line in found)
