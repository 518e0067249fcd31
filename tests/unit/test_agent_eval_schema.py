"""The contract of results/agent_eval.json."""

import json
from pathlib import Path

import jsonschema
import pytest

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "workflow/schemas/agent_eval.schema.json").read_text()
)
SHA256 = "0123456789abcdef" * 4
ORACLE = {
    "model": None,
    "retrieval": False,
    "n": 10,
    "success": 10,
    "success_rate": 1.0,
    "ci95": [0.72, 1],
    "tasks": {"n": 6, "success": 6, "success_rate": 1.0, "ci95": [0.61, 1], "harm_per_100": 0.0},
    "conversations": {
        "n": 4,
        "success": 4,
        "success_rate": 1.0,
        "ci95": [0.51, 1],
        "requests": {"n": 9, "success": 9},
        "pass_hat_k": {"1": 1.0, "2": None, "3": None, "4": None},
        "unrequested_writes": 0,
        "forbidden_writes": 0,
        "unnecessary_questions": 0,
        "turns_mean": 5.5,
        "harm_per_100": 0.0,
    },
    "harm": {"examples": []},
    "declining": {
        "unanswerable": {"n": 4, "declined": 3, "rate": 0.75, "ci95": [0.3, 0.95]},
        "answerable": {"n": 8, "declined": 1, "handed_over": 1, "rate": 0.25, "ci95": [0.07, 0.6]},
    },
    "by_kind": {"late": {"n": 6, "success": 6}, "policy question": {"n": 4, "success": 4}},
    "failures": {},
    "valid_action_rate": 1.0,
    "steps_mean": 3.5,
    "prompt_tokens": 0,
    "generated_tokens": 0,
    "tokens_per_second": None,
    "latency_s": {"p50": 0.001, "p95": 0.002},
    "traces": "results/evaluation/oracle/traces.jsonl",
}
AGENT = {
    **ORACLE,
    "model": {
        "base": "small",
        "adapter": "lora-r16",
        "quant": "Q4_K_M",
        "sha256": SHA256,
        "bytes": 4_000_000,
        "bits_per_weight": 4.9,
    },
    "retrieval": True,
    "success": 9,
    "success_rate": 0.9,
    "ci95": [0.6, 0.98],
    "conversations": {
        **ORACLE["conversations"],
        "success": 3,
        "success_rate": 0.75,
        "ci95": [0.3, 0.95],
        "requests": {"n": 9, "success": 8},
        "pass_hat_k": {"1": 0.75, "2": 0.5, "3": 0.25, "4": 0.25},
        "unrequested_writes": 1,
        "unnecessary_questions": 2,
        "harm_per_100": 6.25,
    },
    "harm": {"examples": [{"task": "t7", "kind": "unrequested_write", "text": "cancel {}"}]},
    "by_kind": {"late": {"n": 6, "success": 6}, "policy question": {"n": 4, "success": 3}},
    "failures": {"wrong_state": 1, "retrieval_miss": 0},
    "prompt_tokens": 5000,
    "generated_tokens": 800,
    "tokens_per_second": 4000.0,
}
VALID = {
    "schema_version": 2,
    "dataset": "food-delivery",
    "suite": {"sha256": SHA256, "n": 10, "kinds": {"late": 6, "policy question": 4}},
    "headline": {"system": "lora-q4", "success_rate": 0.9, "ci95": [0.6, 0.98]},
    "systems": {"oracle": ORACLE, "lora-q4": AGENT},
    "retrieval": {
        "recall_at_1": 0.9,
        "recall_at_3": 1.0,
        "mrr": 0.95,
        "n": 8,
        "variant": "dense",
        "variants": [
            {
                "variant": "dense",
                "recall_at_1": 0.9,
                "recall_at_3": 1.0,
                "mrr": 0.95,
                "ndcg_at_10": 0.96,
                "ms_p50": 1.0,
                "ms_p95": 2.0,
            }
        ],
    },
    "quantization": {
        "Q4_K_M": {
            "bytes": 4_000_000,
            "bits_per_weight": 4.9,
            "ratio_to_f16": 0.31,
            "perplexity": 3.2,
            "kl_mean": 0.01,
            "same_top_token": 0.98,
            "tokens_per_second": 4000.0,
            "speedup_over_f16": 1.2,
        }
    },
    "forgetting": {
        "text": {"path": "general.txt", "sha256": SHA256, "bytes": 40_000},
        "base": 0.8,
        "types": {"F16": {"bits_per_byte": 1.0, "ratio": 1.25}},
    },
    "gates": {"merge_logits": {"value": 1e-5, "limit": 1e-3, "passed": True}},
    "leakage": {"shared_runs": 0},
    "provenance": {"snakemake": "9.27.1"},
}
GONE = object()


def errors(place=None, value=None):
    """Where a result is refused whose value at a path is replaced, or removed."""
    result = json.loads(json.dumps(VALID))
    if place:
        *parents, key = place.split("/")
        entry = result
        for parent in parents:
            entry = entry[int(parent) if isinstance(entry, list) else parent]
        key = int(key) if isinstance(entry, list) else key
        if value is GONE:
            del entry[key]
        else:
            entry[key] = value
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return ["/".join(map(str, error.absolute_path)) for error in validator.iter_errors(result)]


def test_schema_is_valid_and_takes_the_example():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert errors() == []


@pytest.mark.parametrize(
    "path",
    [
        "suite",
        "headline",
        "systems/oracle",
        "systems/lora-q4/model",
        "systems/lora-q4/by_kind/late",
        "systems/lora-q4/tasks",
        "systems/lora-q4/conversations",
        "systems/lora-q4/conversations/requests",
        "systems/lora-q4/conversations/pass_hat_k",
        "systems/lora-q4/harm",
        "systems/lora-q4/declining",
        "systems/lora-q4/declining/unanswerable",
        "systems/lora-q4/declining/answerable",
        "systems/lora-q4/harm/examples/0",
        "systems/lora-q4/latency_s",
        "retrieval",
        "quantization/Q4_K_M",
        "gates/merge_logits",
    ],
)
def test_named_keys_are_all_required_and_no_others_allowed(path):
    entry = VALID
    for key in path.split("/"):
        entry = entry[int(key) if isinstance(entry, list) else key]
    assert errors(f"{path}/surprise", 1) == [path]
    for key in entry:
        assert errors(f"{path}/{key}", GONE) == [path], key


@pytest.mark.parametrize("key", VALID)
def test_top_level_is_complete(key):
    assert errors(key, GONE) == (
        [""] if key != "forgetting" else []
    )  # which is not always measured


def test_top_level_has_no_other_keys():
    assert errors("extra", {}) == [""]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("schema_version", 1),
        ("dataset", ""),
        ("suite/sha256", SHA256[:-1]),
        ("suite/sha256", SHA256.upper()),
        ("suite/n", 0),
        ("suite/n", 2.5),
        ("forgetting/types", {}),
        ("forgetting/types/F16", {"bits_per_byte": 1.0}),
        ("forgetting/base", 0),
        ("suite/kinds", {}),
        ("suite/kinds/late", "6"),
        ("headline/success_rate", 1.01),
        ("headline/success_rate", -0.01),
        ("headline/success_rate", None),
        ("headline/ci95", [0.5]),
        ("headline/ci95", [0.1, 0.2, 0.3]),
        ("headline/ci95/1", 1.2),
        ("systems", {}),
        ("systems/lora-q4", None),
        ("systems/lora-q4/model", "small"),
        ("systems/lora-q4/model/sha256", "x"),
        ("systems/lora-q4/model/bits_per_weight", 0),
        ("systems/lora-q4/model/base", None),
        ("systems/lora-q4/retrieval", 1),
        ("systems/lora-q4/success", -1),
        ("systems/lora-q4/success_rate", 90),
        ("systems/lora-q4/by_kind/late", 0.9),
        ("systems/lora-q4/by_kind/late/surprise", 1),
        ("systems/lora-q4/by_kind/late/n", GONE),
        ("systems/lora-q4/failures/wrong_state", -1),
        ("systems/lora-q4/failures/Wrong state", 1),
        ("systems/lora-q4/tasks/harm_per_100", 101),
        ("systems/lora-q4/conversations/success", None),
        ("systems/lora-q4/conversations/pass_hat_k/1", 1.5),
        ("systems/lora-q4/conversations/pass_hat_k/5", 1),
        ("systems/lora-q4/conversations/requests/n", 0),
        ("systems/lora-q4/conversations/turns_mean", -1),
        ("systems/lora-q4/harm/examples/0/kind", "rude"),
        ("systems/lora-q4/harm/examples", [AGENT["harm"]["examples"][0]] * 6),
        ("systems/lora-q4/declining/unanswerable/n", 0),
        ("systems/lora-q4/declining/answerable/rate", 25),
        ("systems/lora-q4/valid_action_rate", 1.5),
        ("systems/lora-q4/steps_mean", -1),
        ("systems/lora-q4/prompt_tokens", 1.5),
        ("systems/lora-q4/tokens_per_second", "fast"),
        ("systems/lora-q4/latency_s/p95", -1),
        ("systems/lora-q4/traces", ""),
        ("retrieval/mrr", 2),
        ("quantization/Q4_K_M/perplexity", 0.5),
        ("quantization/Q4_K_M/kl_mean", -0.01),
        ("quantization/Q4_K_M/same_top_token", 1.1),
        ("quantization/Q4_K_M/tokens_per_second", 0),
        ("gates", {}),
        ("gates/merge_logits/passed", "yes"),
        ("gates/merge_logits/value", None),
        ("gates/merge_logits/surprise", 1),
        ("leakage", {}),
        ("provenance", []),
    ],
)
def test_wrong_value_is_refused(place, value):
    assert errors(place, value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("systems/lora-q4/model", None),
        ("systems/lora-q4/tasks", None),
        ("systems/lora-q4/conversations", None),
        ("systems/lora-q4/conversations/pass_hat_k/4", None),
        ("systems/lora-q4/harm/examples", []),
        ("systems/lora-q4/declining/unanswerable", None),
        ("systems/lora-q4/declining/answerable", None),
        ("systems/lora-q4/model/adapter", None),
        ("systems/lora-q4/tokens_per_second", None),
        ("systems/lora-q4/failures/another_class", 3),
        (
            "retrieval",
            {
                "recall_at_1": None,
                "recall_at_3": None,
                "mrr": None,
                "n": 0,
                "variant": None,
                "variants": [],
            },
        ),
        ("quantization", {}),
        ("quantization/Q4_K_M/kl_mean", -1e-9),
    ],
)
def test_what_may_be_absent(place, value):
    assert errors(place, value) == []
