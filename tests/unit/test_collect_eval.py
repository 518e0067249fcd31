"""The result: it keeps its contract, its figures are those of the stages, and it reads well."""

import copy
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from collect_eval import collect_eval
from plot_systems import plot_systems

from specialist.core.errors import UserError
from specialist.core.files import sha256

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
CONFIG = {
    "dataset": "shop",
    "headline": "agent-q4",
    "lost_tasks": 0.15,
    "adapters": {"lora": {"base": "small"}},
    "systems": {
        "oracle": {"policy": "scripted", "index": "minilm"},
        "base-f16": {"base": "small", "quantization": "F16", "index": "minilm"},
        "agent-f16": {"adapter": "lora", "quantization": "F16", "index": "minilm"},
        "agent-q4": {"adapter": "lora", "quantization": "Q4_K_M", "index": "minilm"},
        "blind": {"adapter": "lora", "quantization": "Q4_K_M"},
    },
}
SOLVED = {"oracle": 10, "base-f16": 0, "agent-f16": 9, "agent-q4": 8, "blind": 3}
MEASURES = {
    "bytes": 3_000_000,
    "bits_per_weight": 4.9,
    "ratio_to_f16": 0.31,
    "perplexity": 3.25,
    "f16_perplexity": 3.2,
    "kl_mean": 0.01,
    "base_kl_mean": 2.0,
    "stored": {"Q4_K": 12, "Q6_K": 3},
    "same_top_token": 0.98,
    "tokens": 4000,
    "speed": {"tokens_per_second": 4000.0, "speedup_over_f16": 1.25},
}


def scores_of(system):
    """What score writes for a system that solves the first tasks of ten."""
    solved = SOLVED[system]
    outcomes = {f"t{i}": None if i < solved else "wrong_tool" for i in range(10)}
    model = {"sha256": "0" * 64, "bytes": 3_000_000, "bits_per_weight": 4.9}
    return {
        "n": 10,
        "success": solved,
        "success_rate": solved / 10,
        "by_kind": {"late": {"n": 10, "success": solved}},
        "tasks": {"n": 6, "success": min(solved, 6), "harm_per_100": 0.0},
        "conversations": {
            "n": 4,
            "success": max(solved - 6, 0),
            "requests": {"n": 9, "success": max(solved - 1, 0)},
            "pass_hat_k": {"1": 0.5, "2": 0.25, "3": None, "4": None},
            "unrequested_writes": 1,
            "forbidden_writes": 0,
            "unnecessary_questions": 3,
            "turns_mean": 5.5,
            "harm_per_100": 12.5,
        },
        "harm": {
            "examples": [{"task": "t9", "kind": "false_claim", "text": "I have refunded you."}],
            "runs": {"t9": {"0": []}},
        },
        "declining": {
            "unanswerable": {"n": 0, "declined": 0},
            "answerable": {"n": 20, "declined": 1, "handed_over": 4},
        },
        "trials": {task: [outcome] for task, outcome in outcomes.items()},
        "turns_on_kb": {"n": 4, "success": min(solved, 4)},
        "failures": {"wrong_tool": 10 - solved} if solved < 10 else {},
        "outcomes": outcomes,
        "valid_action_rate": 0.75,
        "finished_rate": 0.875,
        "steps_mean": 3.5,
        "prompt_tokens": 500,
        "generated_tokens": 300,
        "model": None if system == "oracle" else model,
        "traces": f"results/shop/evaluation/{system}/traces.jsonl",
        "times": {
            "tokens_per_second": None if system == "oracle" else 3500.0,
            "latency_s": {"p50": 0.05, "p95": 0.09},
        },
    }


@pytest.fixture
def collect(tmp_path):
    """Files of all stages, and the function that collects them."""

    def write(name, value):
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return path

    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"id": f"t{i}", "kind": "late"}) + "\n" for i in range(10)))
    gate = {"value": 0.01, "limit": 0.05, "passed": True}
    retrieval = {
        "recall_at_1": 0.9,
        "recall_at_3": 1.0,
        "mrr": 0.95,
        "n": 6,
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
    }
    files = SimpleNamespace(
        scores=[write(f"{name}.json", scores_of(name)) for name in CONFIG["systems"]],
        served=[],
        measures=[write("q4.json", MEASURES)],
        general=[],
        source_facts=[],
        retrieval=write("retrieval.json", {**retrieval, "agreement_with_exact_search": 1.0}),
        gates=[
            write("gate1.json", {"merge_logits": gate}),
            write("gate2.json", {"f16_logits": gate, "token_ids": {**gate, "value": 0}}),
        ],
        leakage=write("leakage.json", {"n_leaking": 0, "run_words": 8, "leaking": []}),
        tasks=tasks,
        schema=WORKFLOW / "schemas/agent_eval.schema.json",
        template=WORKFLOW / "report/summary.md.jinja",
        agent_eval=tmp_path / "agent_eval.json",
        summary=tmp_path / "summary.md",
        config=CONFIG,
        quantizations=["Q4_K_M"],
        general_text="general.txt",
        forgotten=[],
        stages=["merge/lora", "gguf/lora"],
        engines=[],
    )

    def run(**changed):
        collect_eval(**{**vars(files), **changed})
        return json.loads(files.agent_eval.read_text()), files.summary.read_text()

    return SimpleNamespace(run=run, files=files, write=write)


def test_the_result_keeps_the_contract(collect):
    result, _ = collect.run()
    jsonschema.validate(result, json.loads(collect.files.schema.read_text()))
    assert result["dataset"] == "shop"
    assert result["suite"] == {
        "sha256": sha256(collect.files.tasks),
        "n": 10,
        "kinds": {"late": 10},
    }
    assert list(result["systems"]) == list(CONFIG["systems"])
    for name, system in result["systems"].items():
        assert system["success"] == SOLVED[name]
        assert system["retrieval"] == (name != "blind")
        low, high = system["ci95"]
        assert 0 <= low <= SOLVED[name] / 10 <= high <= 1
    assert result["systems"]["oracle"]["model"] is None
    models = {
        name: system["model"] for name, system in result["systems"].items() if system["model"]
    }
    assert (models["base-f16"]["base"], models["base-f16"]["adapter"]) == ("small", None)
    assert models["agent-q4"]["base"] == "small"
    assert (models["agent-q4"]["adapter"], models["agent-q4"]["quant"]) == ("lora", "Q4_K_M")
    assert result["retrieval"]["recall_at_3"] == 1.0
    assert result["quantization"]["Q4_K_M"]["speedup_over_f16"] == 1.25
    assert set(result["gates"]) == {
        "merge/lora/merge_logits",
        "gguf/lora/f16_logits",
        "gguf/lora/token_ids",
        "oracle/unsolved_tasks",
        "quantize/agent-q4/lost_tasks",
        "quantize/Q4_K_M/kl_to_f16_over_kl_to_base",
    }
    assert result["gates"]["quantize/agent-q4/lost_tasks"]["value"] == pytest.approx(0.1)
    assert result["gates"]["quantize/Q4_K_M/kl_to_f16_over_kl_to_base"]["value"] == 0.005
    assert all(gate["passed"] for gate in result["gates"].values())
    assert result["leakage"]["n_leaking"] == 0
    assert result["provenance"]["config"] == CONFIG
    assert result["provenance"]["packages"]["numpy"]
    assert result["provenance"]["stored"] == {"Q4_K_M": {"Q4_K": 12, "Q6_K": 3}}


def test_intervals_are_wilsons(collect):
    result, _ = collect.run()
    # Worked by hand: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 0.8, n = 10.
    assert result["headline"]["ci95"] == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert result["headline"]["success_rate"] == 0.8
    assert result["systems"]["oracle"]["ci95"][1] == 1


def test_a_result_is_the_same_bytes_in_each_run(collect):
    first = collect.run()
    assert collect.run() == first


def test_a_task_that_cannot_be_solved_stops_the_run(collect):
    broken = scores_of("oracle")
    broken["outcomes"]["t7"], broken["success"] = "missing_fact", 9
    scores = [collect.write("broken.json", broken), *collect.files.scores[1:]]
    with pytest.raises(
        UserError, match=r"system oracle: unsolved_tasks is 0.1.*t7 \(missing_fact\)"
    ):
        collect.run(scores=scores)
    assert not collect.files.agent_eval.exists()


def test_a_file_that_lost_the_adapter_is_named_with_the_cause(collect, capsys):
    erased = MEASURES | {"kl_mean": 1.33, "base_kl_mean": 0.21, "stored": {"Q4_1": 15, "F32": 1}}
    smaller = MEASURES | {"bytes": 2_000_000}
    origin = collect.write("source.json", {"types": {"Q4_1": 14, "Q8_0": 1}})
    config = copy.deepcopy(CONFIG) | {"headline": "agent-q4-1", "lost_tasks": 0.05}
    config["systems"] |= {
        "agent-q4-1": {"adapter": "lora", "quantization": "Q4_1", "index": "minilm"}
    }
    lost = scores_of("base-f16")
    result, summary = collect.run(
        config=config,
        scores=[*collect.files.scores, collect.write("lost.json", lost)],
        quantizations=["Q4_1", "Q4_K_M", "Q5_0", "IQ4_NL"],
        measures=[
            collect.write(f"{n}.json", m)
            for n, m in enumerate([erased, MEASURES, MEASURES, smaller])
        ],
        source_facts=origin,
    )
    gates = result["gates"]
    assert gates["quantize/agent-q4-1/lost_tasks"] == {"value": 0.9, "limit": 0.05, "passed": False}
    assert not gates["quantize/Q4_1/kl_to_f16_over_kl_to_base"]["passed"]
    advice = "these measured types pass: IQ4_NL, Q5_0"
    first = (
        "agent-q4-1 loses 90.0 points of its tasks against F16, more than `lost_tasks` allows "
        "(5.0): rounding moved it back to the base, whose own file is in Q4_1 too (KL 1.33 nats "
        f"per token to its own F16, 0.21 to the base); {advice}"
    )
    second = (
        "agent-q4 loses 10.0 points of its tasks against F16, more than `lost_tasks` allows (5.0): "
        f"rounding moved its predictions by 0.01 nats per token; {advice}"
    )
    said = capsys.readouterr().out
    for text in (first, second):
        assert f"**Warning:** {text}" in summary and f"warning: {text}\n" in said
    assert "- Q4_1 holds 15 matrices in Q4_1, 1 matrices in F32." in summary


def test_a_figure_that_is_none_is_refused(collect):
    broken = copy.deepcopy(MEASURES)
    broken["perplexity"] = float("nan")
    with pytest.raises((ValueError, jsonschema.ValidationError)):
        collect.run(measures=[collect.write("nan.json", broken)])
    broken["perplexity"] = 0.5
    with pytest.raises(jsonschema.ValidationError, match="0.5 is less than the minimum"):
        collect.run(measures=[collect.write("low.json", broken)])
    assert not collect.files.agent_eval.exists()


def test_what_the_adapter_costs_in_general_language(collect):
    bits = {"base": 0.8, "f16": 1.0, "q4": 0.9}
    general = [
        collect.write(
            f"general-{name}.json", {"bits_per_byte": value, "bytes": 40_000, "sha256": "0" * 64}
        )
        for name, value in bits.items()
    ]
    result, summary = collect.run(general=general, forgotten=["F16", "Q4_K_M"])
    assert result["forgetting"]["types"]["F16"] == {"bits_per_byte": 1.0, "ratio": 1.25}
    assert "general.txt, 40 kB of it" in summary
    assert "| base, F16 | 0.800 | |\n| adapter, F16 | 1.000 | +25.0 % |\n" in summary
    assert "| adapter, Q4_K_M | 0.900 | +12.5 % |" in summary
    with pytest.raises(ValueError, match="zip"):
        collect.run(general=general, forgotten=["F16"])
    result, summary = collect.run()
    assert "forgetting" not in result and "Forgetting" not in summary


def test_without_an_index_retrieval_is_not_measured(collect):
    result, summary = collect.run(retrieval=[])
    nothing = dict.fromkeys(("recall_at_1", "recall_at_3", "mrr", "variant"))
    assert result["retrieval"] == {**nothing, "n": 0, "variants": []}
    assert "Not measured" in summary


def test_files_and_names_must_match(collect):
    for changed in ({"stages": ["one"]}, {"quantizations": []}, {"scores": []}):
        with pytest.raises(ValueError, match="zip"):
            collect.run(**changed)


def test_parts_have_their_own_intervals(collect):
    mine = collect.run()[0]["systems"]["agent-q4"]
    assert (mine["tasks"]["success_rate"], mine["conversations"]["success_rate"]) == (1, 0.5)
    assert mine["tasks"]["ci95"] == pytest.approx([0.6097, 1], abs=1e-4)  # 1 / (1 + z²/6)
    assert mine["conversations"]["pass_hat_k"]["2"] == 0.25
    assert set(mine["harm"]) == {"examples"}
    found = mine["declining"]
    assert found["unanswerable"] is None and found["answerable"]["rate"] == 0.25
    assert found["answerable"]["ci95"] == pytest.approx([0.112, 0.469], abs=1e-3)


def test_a_suite_without_conversations(collect):
    single = [scores_of(name) | {"conversations": None} for name in CONFIG["systems"]]
    scores = [collect.write(f"single{n}.json", each) for n, each in enumerate(single)]
    result, summary = collect.run(scores=scores)
    assert result["systems"]["agent-q4"]["conversations"] is None
    assert "## Conversations" not in summary


def test_a_system_that_ran_no_conversation_is_not_in_their_table(collect):
    some = [scores_of(name) for name in CONFIG["systems"]]
    some[0] |= {"conversations": None}
    scores = [collect.write(f"some{n}.json", each) for n, each in enumerate(some)]
    result, summary = collect.run(scores=scores)
    table = summary.split("## Conversations")[1].split("## ")[0]
    first, *others = result["systems"]
    assert f"| {first} |" not in table and all(f"| {name} |" in table for name in others)


def test_summary_has_the_tables(collect):
    _, summary = collect.run()
    assert summary.startswith("# agent-q4 solves 80.0 % of 10 tasks\n")
    assert "95 % interval: 49.0 to 94.3 %" in summary
    assert "Compared with agent-f16, the same system in F16: -10.0 points." in summary
    rows = [line.split(" | ") for line in summary.splitlines() if line.startswith("| blind |")]
    assert [row[:2] for row in rows] == [
        ["| blind", "30.0 %"], ["| blind", "0 of 4"], ["| blind", "–"], ["| blind", "7 |"],
    ]  # fmt: skip
    assert rows[0][3:7] == ["50.0 %", "0.0 %", "0.00", "12.50"]
    assert rows[1][3:8] == ["2 of 9", "50.0 %", "25.0 %", "–", "–"]
    assert rows[2][4:] == ["1 of 20", "4", "25.0 %", "11.2 to 46.9 % |"]
    assert "- 6 tasks with one message: 100.0 % solved, harm in 0.00 of 100.\n" in summary
    assert "- 4 conversations: 50.0 % solved, harm in 12.50 of 100.\n" in summary
    assert "- t9, false claim: I have refunded you.\n" in summary
    assert "- Q4_K_M holds 12 matrices in Q4_K, 3 matrices in Q6_K.\n" in summary
    assert "Warning" not in summary
    assert "| Q4_K_M | 3.00 | 4.90 | 31.0 % | 3.250 | 0.0100 | 98.0 % | 4000 | 1.25 × |" in summary
    assert "recall@1 90.0 %, recall@3 100.0 %" in summary
    assert "| oracle/unsolved_tasks | 0 | 0 | passed |" in summary
    assert "- n_leaking: 0" in summary
    for line in summary.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_tables_of_the_summary_are_even(collect):
    _, summary = collect.run()
    for block in summary.split("\n\n"):
        table = [line.count("|") for line in block.splitlines() if line.startswith("|")]
        assert len(set(table)) <= 1


def test_plot_is_the_same_bytes_and_shows_every_system(collect, tmp_path):
    collect.run()
    shutil.copy(collect.files.agent_eval, tmp_path / "again.json")
    written = []
    for source in ("agent_eval.json", "again.json"):
        plot_systems(tmp_path / source, tmp_path / "systems.svg")
        written.append((tmp_path / "systems.svg").read_text())
    svg, again = written
    assert svg == again
    for text in [*CONFIG["systems"], "solved", "wrong tool"]:
        assert f">{text}<" in svg
    assert "step limit" not in svg


def test_a_served_model_is_named_with_its_way_and_its_gate(collect):
    """The gate of a served model stops nothing, so the summary names it."""
    engine = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    config = copy.deepcopy(CONFIG)
    config["systems"]["blind"] |= {"engine": engine}
    facts = {**engine, "identity": {"id": "m"}, "prompt": "ids", "grammar": "none"}
    bare = scores_of("blind") | {"model": None}
    gate = {"value": 0.25, "limit": 0.1, "passed": False}
    result, summary = collect.run(
        config=config,
        scores=[*collect.files.scores[:-1], collect.write("blind.json", bare)],
        served=[collect.write("served.json", facts)],
        engines=["blind"],
        gates=[*collect.files.gates, collect.write("gate3.json", {"different_actions": gate})],
        stages=[*collect.files.stages, "engine/blind"],
    )
    assert result["systems"]["blind"]["engine"] == facts
    assert result["systems"]["blind"]["model"] is None
    assert "engine" not in result["systems"]["agent-q4"]
    assert result["gates"]["engine/blind/different_actions"] == gate
    assert "- blind: m at http://127.0.0.1:9/v1. Prompts go there as ids." in summary
    assert "nothing holds the turns to their form" in summary
    assert "blind: 25.0 % of the actions in the compared tasks differ" in summary
    assert "more than 10 %" in summary
    _, without = collect.run()
    assert "## Served models" not in without
