"""Verdicts on claims: they follow the interval, and each of them can be reached."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from specialist.core.errors import UserError
from specialist.report.claims import (
    INCONCLUSIVE,
    NOT_SUPPORTED,
    SUPPORTED,
    UNTESTED,
    bootstrap_interval,
    judge,
    overall,
    read,
    t_interval,
    verdict,
)
from specialist.report.sentences import fill

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow/schemas/claims.schema.yaml"
CLAIMS = ROOT / "resources/claims.yaml"
RULE = {
    "says": "b is no worse than a", "metric": "loss", "cell": "b", "against": "a",
    "by": "difference", "at_most": 0.1,
}  # fmt: skip
CLAIM = {
    "id": "same", "title": "Same", "claim": "b is as good as a.", "experiment": "x",
    "rules": [RULE], "shows": ["loss"], "limits": "Two cells.", "done": "Trained.",
    "plain": "The loss of b is {0:number} above that of a.",
}  # fmt: skip
NO_TASKS = pd.DataFrame(columns=["experiment", "cell", "seed", "metric", "task", "value"])
numbers = st.floats(-10, 10)


def measured(experiment="x", metric="loss", **cells):
    """A table of measurements: cell -> values, one a seed."""
    rows = [
        {"experiment": experiment, "cell": cell, "seed": seed, "metric": metric, "value": value}
        for cell, values in cells.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def write(folder, *claims):
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump(list(claims)))
    return path


NAMED = CLAIM | {
    "values": {"large": "b"},
    "plain": "{large} has {0:number} more.",
    "rules": [RULE | {"cell": "{large}"}],
    "limits_of": {"imported": "Of {large}."},
}


def design(over="seeds", base="scratch", **values):
    return {"values": values, "over": over, "base": base}


def test_values_of_a_version_take_the_place_of_the_claims_own(tmp_path):
    path = write(tmp_path, NAMED)
    (own,) = read(path, SCHEMA)
    (other,) = read(path, SCHEMA, design(same={"large": 0.001}, base="imported"))
    assert own["rules"][0]["cell"] == "b" and own["plain"] == "b has {0:number} more."
    assert other["rules"][0]["cell"] == "0.001" and other["limits"] == "Two cells. Of 0.001."
    assert own["limits"] == "Two cells." and not {"values", "limits_of"} & {*own, *other}


def test_intervals_of_success_may_be_over_the_tasks(tmp_path):
    solved = RULE | {"metric": "success_rate"}
    rules = [RULE, solved, solved | {"over": "exact"}]
    (claim,) = read(write(tmp_path, CLAIM | {"rules": rules}), SCHEMA, design(over="tasks"))
    assert [rule.get("over") for rule in claim["rules"]] == [None, "tasks", "exact"]


@pytest.mark.parametrize(
    ("claim", "values", "expected"),
    [
        ({"plain": "{lage} grows."}, {}, r"same: found \{lage\}, which is not one of its values"),
        ({}, {"same": {"lage": 1}}, "claims.same.lage: unknown value, .* did you mean large"),
        ({}, {"sme": {"large": 1}}, "claims.sme: unknown claim, expected one of same"),
    ],
)
def test_wrong_values_are_named(tmp_path, claim, values, expected):
    with pytest.raises(UserError, match=expected):
        read(write(tmp_path, NAMED | claim), SCHEMA, design(**values))


@given(numbers, numbers, st.none() | numbers, st.none() | numbers)
def test_verdict_follows_the_interval(one, other, at_least, at_most):
    low, high = sorted((one, other))

    def within(value):
        return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)

    found = verdict(low, high, at_least, at_most)
    if found == SUPPORTED:
        assert within(low) and within(high) and within((low + high) / 2)
    elif found == NOT_SUPPORTED:
        assert not within(low) and not within(high) and not within((low + high) / 2)
    else:
        assert not (within(low) and within(high))


def test_without_an_interval_nothing_can_be_said():
    assert verdict(float("nan"), float("nan"), at_least=0) == INCONCLUSIVE
    assert judge(CLAIM, measured(a=[1.0], b=[1.0]), NO_TASKS)["verdict"] == INCONCLUSIVE


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        ([1.01, 2.02, 3.01], SUPPORTED),
        ([1.51, 2.52, 3.51], NOT_SUPPORTED),
        ([1.00, 2.30, 3.00], INCONCLUSIVE),
    ],
)
def test_each_verdict_can_be_reached(b, expected):
    """The seeds differ a lot, and b from a little: what counts is paired by seed."""
    assert judge(CLAIM, measured(a=[1.0, 2.0, 3.0], b=b), NO_TASKS)["verdict"] == expected


def test_ratio():
    claim = CLAIM | {"rules": [RULE | {"by": "ratio", "at_most": 2.1}]}
    (rule,) = judge(claim, measured(a=[1, 2, 3], b=[2, 4, 6]), NO_TASKS)["rules"]
    assert (rule["value"], rule["low"], rule["high"]) == (2, 2, 2)


def test_what_is_exact_needs_no_interval():
    claim = CLAIM | {"rules": [RULE | {"over": "exact"}]}
    assert judge(claim, measured(a=[1.0], b=[1.05]), NO_TASKS)["verdict"] == SUPPORTED
    assert judge(claim, measured(a=[1.0], b=[1.15]), NO_TASKS)["verdict"] == NOT_SUPPORTED


def test_rule_over_tasks_is_paired_by_task():
    rule = RULE | {"metric": "success_rate", "over": "tasks", "at_least": -0.05}
    tasks = pd.DataFrame(
        {
            "experiment": "x", "cell": cell, "seed": seed, "metric": "success_rate", "task": task,
            # b loses one task that a solves, with one of two seeds.
            "value": 0 if (cell, seed, task) == ("b", 1, 0) else task % 2 == 0,
        }
        for cell in "ab" for seed in (1, 2) for task in range(200)
    )  # fmt: skip
    found = judge(CLAIM | {"rules": [rule]}, measured(a=[0.5]), tasks)
    assert found["verdict"] == SUPPORTED
    assert found["rules"][0]["value"] == pytest.approx(-1 / 400)
    assert found["rules"][0]["low"] < -1 / 400 < found["rules"][0]["high"] <= 0


def test_cell_that_was_not_measured():
    found = judge(CLAIM, measured(a=[1.0, 2.0]), NO_TASKS)
    assert found["verdict"] == UNTESTED and "Not all" in found["reason"]
    assert found["rules"][0]["value"] is None
    assert found["finding"] == "This version does not measure all that the claim needs."


def test_finding_is_a_sentence_with_the_values():
    found = judge(CLAIM, measured(a=[1.0, 2.0, 3.0], b=[1.51, 2.52, 3.51]), NO_TASKS)["finding"]
    assert found == (
        "The measurements contradict the claim. The loss of b is 0.513 above that of a."
    )


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("percent", 0.306, "31 %"), ("percent", 0.0684, "6.8 %"), ("times", 2.466, "2.47 times"),
        ("fewer", -0.0131, "1.3 fewer"), ("fewer", 0.78, "78.0 more"),
        ("megabytes", -82.0, "82 MB less"), ("number", 2.314, "2.31"),
    ],
)  # fmt: skip
def test_values_are_in_words(kind, value, expected):
    assert fill(f"It is {{0:{kind}}}.", [value]) == f"It is {expected}."


def test_models_that_solve_nothing_are_equal_and_prove_nothing():
    claim = CLAIM | {"only_if": {"metric": "loss", "cell": "a", "at_least": 5}}
    found = judge(claim, measured(a=[1, 2, 3], b=[1, 2, 3]), NO_TASKS)
    assert found["verdict"] == INCONCLUSIVE
    assert found["reason"] == "The loss of a is not shown to be 5 or more."


def test_claim_holds_if_all_rules_do():
    assert overall([SUPPORTED, SUPPORTED]) == SUPPORTED
    assert overall([SUPPORTED, INCONCLUSIVE]) == INCONCLUSIVE
    assert overall([INCONCLUSIVE, NOT_SUPPORTED, UNTESTED, SUPPORTED]) == NOT_SUPPORTED
    assert overall([INCONCLUSIVE, UNTESTED, SUPPORTED]) == UNTESTED


def test_intervals_are_those_of_the_textbook():
    mean, low, high = t_interval([1, 2, 3])
    assert mean == 2 and (low, high) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)
    assert t_interval([2, 2]) == (2, 2, 2)
    mean, low, high = bootstrap_interval([0, 1] * 200)
    assert (mean, low, high) == pytest.approx((0.5, 0.451, 0.549), abs=5e-3)
    assert bootstrap_interval([0, 1] * 200) == (mean, low, high)


def test_shipped_claims_name_what_is_measured():
    shipped = yaml.safe_load((ROOT / "config/paper.yaml").read_text())["papers"]["full"]
    claims = read(CLAIMS, SCHEMA)
    assert {claim["experiment"] for claim in claims} == {
        *shipped["sweeps"], "quantization", "stack", "retrieval", "scale", "pretraining",
        "benchmark",
    }  # fmt: skip


MISTAKES = {
    "an unknown key": ({"clam": "x"}, "clam"),
    "a value of a rule that is not there": ({"plain": "It is {1:number}."}, "same.plain"),
    "a format that is not there": ({"plain": "It is {0:inches}."}, "same.plain.*inches"),
    "no bound": ({"rules": [{"says": "x", "metric": "loss", "cell": "a"}]}, "rules.0"),
    "a cell to compare, and not how": (
        {"rules": [{k: v for k, v in RULE.items() if k != "by"}]}, "by",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "place"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named(tmp_path, change, place):
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump([CLAIM | change]))
    with pytest.raises(UserError, match=place):
        read(file, SCHEMA)


def test_same_name_twice_is_refused(tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump([CLAIM, CLAIM]))
    with pytest.raises(UserError, match="same: is given twice"):
        read(file, SCHEMA)
