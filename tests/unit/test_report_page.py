"""The page of a run: what the parts add, its browser of conversations, and hostile text in it."""

import json
import re
from pathlib import Path

import pytest
from render_report import render_report

import browsers
from specialist.core.text import write_rows
from specialist.report import page

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "adapters": {"lora": {"base": "small"}},
    "systems": {
        "agent": {"adapter": "lora", "quantization": "Q4_K_M", "index": "minilm"},
        "blind": {"adapter": "lora", "quantization": "Q4_K_M"},
        "whole": {"adapter": "lora", "quantization": "F16", "index": "minilm"},
        "base": {"base": "small", "quantization": "F16", "index": "minilm"},
    },
}
RATES = {"agent": 0.9, "blind": 0.3, "whole": 0.95, "base": 0.1}
HOSTILE = "</script><script>alert(1)</script><b>bold</b> & \u2028"


def test_contributions_compare_systems_that_differ_in_one_part():
    rows = {name: {"success_rate": rate} for name, rate in RATES.items()}
    assert page.contributions(CONFIG, rows, "agent") == [
        "The adapter adds 80.0 points.",
        "Retrieval adds 60.0 points.",
        "Q4_K_M against F16: -5.0 points.",
    ]


def step(call, exchange=0, **arguments):
    return {
        "thought": "look", "call": call, "arguments": arguments or None, "error": None,
        "observation": HOSTILE if call else None, "sources": [], "valid": True, "by": "agent",
        "prompt_tokens": 5, "generated_tokens": 7, "exchange": exchange,
    }  # fmt: skip


MOVED = {"orders": {"removed": [{"id": 1}], "added": [{"id": 2}]}}
PAID = {"payments": {"removed": [], "added": [{"order": 2}]}}


def exchange(message, changes, source="request", **given):
    return {
        "request": 0, "source": source, "confirms": False, "message": message, "reply": HOSTILE,
        "said": None, "rule": None, "ended": "answer", "steps": 2, "changes": changes,
        "own_changes": None, **given,
    }  # fmt: skip


def trace(task, *steps, trial=0, exchanges=None):
    return {
        "id": task, "trial": trial, "kind": "refund", "ended": "answer", "answer": HOSTILE,
        "steps": list(steps), "changes": MOVED, "messages": [],
        "exchanges": exchanges or [exchange(f"{HOSTILE} {task}", MOVED)],
    }  # fmt: skip


TASKS = [{"id": f"t{n}", "kind": "refund"} for n in range(3)] + [{"id": "talk", "kind": "talk"}]
CLOCK = {"steps": [0.01, 0.02]}
ONE, OTHER = step("refund", order="a"), step("refund", order="b")
TALK = [
    exchange("Move it.", MOVED),
    exchange(
        "I said so.", MOVED | PAID, "vain", request=1, said="It is paid.", rule="claim",
        own_changes=MOVED,
    ),
]  # fmt: skip
HARM = {"kind": "false_claim", "exchange": 1, "text": "It is paid."}


def talk(trial=0):
    last = step("hand_over", 1, order="c") | {"by": "rule"}
    return trace("talk", ONE, step("refund", 1, order="b"), last, trial=trial, exchanges=TALK)


def scores_of(trials, harm=None):
    return {"trials": trials, "harm": {"runs": harm or {}}}


RUNS = {
    # Trial 1 of the conversation is solved, and trial 2 does harm.
    "agent": (
        [*(trace(f"t{n}", ONE, ONE) for n in range(3)), *(talk(trial) for trial in range(3))],
        scores_of(
            {"t0": [None], "t1": [None], "t2": ["loop"], "talk": [None, None, "missing_fact"]},
            {"talk": {"2": [HARM]}},
        ),
    ),
    "blind": (
        [*(trace(f"t{n}", ONE, OTHER) for n in range(3)), talk()],
        scores_of({task["id"]: ["wrong_state"] for task in TASKS}),
    ),
}
SYSTEMS = {name: (rows, [CLOCK] * len(rows), scores) for name, (rows, scores) in RUNS.items()}


def test_runs_hold_every_turn_once():
    text, left_out = page.conversations(TASKS, SYSTEMS, "agent")
    data = json.loads(text)
    assert left_out == 0 and "<" not in text
    assert data["strings"] == [HOSTILE]
    ids = [task["id"] for task in data["tasks"]]
    assert ids == ["t0", "t1", "t2", "talk", "talk, trial 2"]
    assert [task["message"] for task in data["tasks"]][2:4] == [f"{HOSTILE} t2", "Move it."]
    assert data["failures"] == ["loop", "missing_fact", "wrong_state"]
    assert data["harms"] == ["false_claim"]
    assert list(data["traces"]["blind"]) == ["t0", "t1", "t2", "talk"]
    [only] = data["traces"]["agent"]["t0"]["exchanges"]
    assert [step["seconds"] for step in only["steps"]] == [0.01, 0.02]
    assert only["changes"] == MOVED


def test_exchanges_have_their_own_turns_and_changes():
    data = json.loads(page.conversations(TASKS, SYSTEMS, "agent")[0])
    first, second = data["traces"]["agent"]["talk, trial 2"]["exchanges"]
    assert (first["changes"], second["changes"]) == (MOVED, PAID)
    assert [len(each["steps"]) for each in (first, second)] == [1, 2]
    assert (second["request"], second["source"], second["rule"]) == (2, "vain", "claim")
    assert [step["by"] for step in second["steps"]] == ["agent", "rule"]


def test_runs_too_many_for_a_page_leave_out_solved_ones():
    systems = {"agent": SYSTEMS["agent"]}
    whole, _ = page.conversations(TASKS, systems, "agent")
    text, left_out = page.conversations(TASKS, systems, "agent", largest=len(whole) - 1)
    assert left_out > 0 and len(text) < len(whole)
    assert {"t2", "talk, trial 2"} <= {task["id"] for task in json.loads(text)["tasks"]}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The page of a run of two systems, with hostile text in every place."""
    folder = tmp_path_factory.mktemp("page")
    row = {
        "n": 3, "ci95": [0.2, 0.9], "valid_action_rate": 1.0, "steps_mean": 2.0, "model": None,
        "latency_s": {"p50": 0.03}, "by_kind": {"refund": {"n": 3, "success": 2}},
        "tasks": {"n": 3, "success_rate": 2 / 3, "harm_per_100": 0.0},
        "harm": {"examples": [{"task": "talk", "kind": "false_claim", "text": HOSTILE}]},
    }  # fmt: skip
    talks = {
        "n": 1, "success": 1, "success_rate": 1.0, "requests": {"n": 2, "success": 2},
        "pass_hat_k": {"1": 0.7, "2": 0.5, "3": 0.4, "4": None}, "unrequested_writes": 0,
        "forbidden_writes": 0, "unnecessary_questions": 1, "turns_mean": 3.0, "harm_per_100": 33.3,
    }  # fmt: skip
    single = {"pass_hat_k": {"1": 0.0, "2": None, "3": None, "4": None}}
    result = {
        "dataset": "shop",
        "suite": {"n": 3, "sha256": "0" * 64},
        "headline": {"system": "agent", "success_rate": 2 / 3, "ci95": [0.2, 0.9]},
        "systems": {
            "agent": {
                **row, "success_rate": 2 / 3, "failures": {"loop": 1}, "conversations": talks,
            },
            "blind": {
                **row, "success_rate": 0.0, "failures": {"wrong_state": 3},
                "conversations": {**talks, **single},
            },
        },
        "retrieval": None, "quantization": {},
        "gates": {"merge/lora/merge_logits": {"value": 0.1, "limit": 0.2, "passed": True}},
        "leakage": {"n_leaking": 0, "n_tasks": 3, "run_words": 8, "training_texts": 9},
        "provenance": {
            "config": {"adapters": {}, "systems": {"agent": {}, "blind": {"index": "x"}}},
            "python": "3", "packages": {},
            "hardware": {
                "processor": "one", "cpus": 2, "memory_gb": 4, "gpus": [], "system": "Linux",
            },
        },
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    write_rows(folder / "tasks.jsonl", TASKS)
    for name, (rows, times, scores) in SYSTEMS.items():
        write_rows(folder / f"{name}.traces", rows)
        write_rows(folder / f"{name}.times", times)
        (folder / f"{name}.scores").write_text(json.dumps(scores))
    (folder / "lora").mkdir()
    (folder / "lora/loss.csv").write_text("step,loss\n1,2.5\n2,1.5\n")
    files = [
        [folder / f"{name}.{kind}" for name in SYSTEMS] for kind in ("traces", "times", "scores")
    ]
    render_report(
        folder / "result.json", folder / "tasks.jsonl", *files, [], [], [folder / "lora/loss.csv"],
        ROOT / "workflow/report/run.html.jinja", ROOT / "workflow/report/run.js",
        folder / "report.html",
    )  # fmt: skip
    return folder / "report.html"


def test_page_needs_nothing_from_elsewhere(rendered):
    text = rendered.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    assert f"script-src '{page.script_hash(scripts[0])}'" in policy.replace("&#39;", "'")


def test_page_shows_both_parts_harm_and_reliability(rendered):
    text = rendered.read_text()
    assert "Of 3 tasks with one message, it solves 66.7 %, and does harm in 0 of 100." in text
    assert "Of 1 conversations, it solves 100.0 %, and does harm in 33.3 of 100." in text
    plot = re.search(r'aria-label="pass\^k by k">(.*?)</div>', text, re.DOTALL)[1]
    assert ">agent<" in plot and ">blind<" not in plot  # which has one trial only


@pytest.fixture(scope="module")
def browser(rendered):
    """Chromium with the page open; skipped where there is none."""
    opened = browsers.chromium()
    opened.get(rendered.as_uri())
    yield opened
    assert opened.get_log("browser") == []
    opened.quit()


def test_filters_and_comparison_work(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    def shown():
        return [
            button.get_attribute("value")
            for button in browser.find_elements(By.CSS_SELECTOR, "#list button")
        ]

    def choose(name, value):
        Select(browser.find_element(By.ID, name)).select_by_value(value)

    assert shown() == ["t0", "t1", "t2", "talk", "talk, trial 2"]
    assert browser.find_element(By.CSS_SELECTOR, "#shown .customer").text.startswith("</script>")
    assert browser.find_elements(By.CSS_SELECTOR, "#shown b") == []
    choose("outcome", "loop")
    assert shown() == ["t2"]
    choose("other", "blind")
    marked = browser.find_elements(By.CSS_SELECTOR, "#shown .differs")
    assert ['"b"' in each.text or '"a"' in each.text for each in marked] == [True, True]
    assert {each.find_element(By.TAG_NAME, "small").text.split(":")[0] for each in marked} == {
        "Turn 2"
    }
    choose("outcome", "")
    choose("harm", "any")
    assert shown() == ["talk, trial 2"]  # which the other system did not run
    said = browser.find_element(By.ID, "shown").text
    for part in (
        "Customer requests, request 1", "Move it.", "Customer says again, request 2",
        "Written by a rule of the loop", 'Replaced by the rule "claim". The agent said: It is paid',
        "Harm, false claim: It is paid.", 'payments\n+ {"order":2}',
    ):  # fmt: skip
        assert part in said
    choose("harm", "none")
    assert shown() == ["t0", "t1", "t2", "talk"]
    choose("harm", "")
    browser.find_element(By.ID, "words").send_keys("nobody wrote this")
    assert shown() == []
    assert browser.find_element(By.ID, "count").text == "0 of 5 runs"


def test_page_fits_a_phone(browser):
    browser.set_window_size(500, 900)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
