"""The check of a finished result that CI ends with."""

import json

import pytest

from check_result import problems
from test_agent_eval_schema import VALID


@pytest.fixture
def result():
    found = json.loads(json.dumps(VALID))  # in which no parts are shared
    found["systems"]["lora-q4"]["conversations"]["harm_per_100"] = 0.0
    return found


def test_good_result_has_no_problems(result):
    assert problems(result) == []


def test_failed_gate_and_low_headline_are_named(result):
    result["gates"]["f16_logits"] = {"value": 0.7, "limit": 0.05, "passed": False}
    low, mine = {"success": 8, "success_rate": 0.8}, result["systems"]["lora-q4"]
    mine |= low | {"failures": {"wrong_state": 2}}
    mine["tasks"] |= {"success": 5, "success_rate": 5 / 6}
    mine["by_kind"]["late"]["success"] = 5
    result["headline"]["success_rate"] = 0.8
    assert problems(result) == [
        "gate f16_logits failed: 0.7 (limit 0.05)",
        "lora-q4: tasks.success_rate is 0.833, expected 0.9 to 1",
    ]


def test_parts_of_the_headline_can_have_bars(result):
    bars = (("conversations", "success_rate", 0.8, 1), ("tasks", "harm_per_100", 0, 0.5))
    assert problems(result, bars) == [
        "lora-q4: conversations.success_rate is 0.750, expected 0.8 to 1"
    ]
    result["systems"]["lora-q4"]["tasks"]["harm_per_100"] = 0.6
    assert "lora-q4: tasks.harm_per_100 is 0.600, expected 0 to 0.5" in problems(result, bars)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"n": 11}, "lora-q4: it ran 11 of 10 tasks"),
        ({"tasks": None}, "lora-q4: parts do not add up to n, 10"),
        ({"failures": {}}, "lora-q4: failures do not add up to the tasks that are not solved"),
        ({"success_rate": 0.95}, "lora-q4: success_rate is not 9 of 10"),
    ],
)
def test_figures_that_contradict_each_other_are_named(result, changed, text):
    result["systems"]["lora-q4"] |= changed
    assert text in problems(result)


def test_the_headline_is_that_of_its_system(result):
    result["headline"]["success_rate"] = 0.99
    assert problems(result) == ["the headline is not that of the system lora-q4"]


def test_wrong_form_is_named_with_its_place(result):
    del result["gates"]
    result["headline"]["success_rate"] = 1.5
    found = problems(result)
    assert len(found) == 2
    assert any("'gates' is a required property" in line for line in found)
    assert any(line.startswith("$.headline.success_rate: 1.5") for line in found)
