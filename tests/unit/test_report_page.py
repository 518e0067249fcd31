"""The page of a run: what the parts add, its browser of conversations, and hostile text in it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from render_report import render_report

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


def step(call, answer=None, **arguments):
    return {
        "thought": "look", "call": call, "arguments": arguments or None, "error": None,
        "observation": HOSTILE if call else None, "sources": [], "valid": True,
        "prompt_tokens": 5, "generated_tokens": 7,
    }  # fmt: skip


def trace(task, *steps):
    return {
        "id": task, "kind": "refund", "ended": "answer", "answer": HOSTILE, "steps": list(steps),
        "changes": {"orders": {"removed": [{"id": 1}], "added": [{"id": 2}]}}, "messages": [],
    }  # fmt: skip


TASKS = [{"id": f"t{n}", "kind": "refund", "message": f"{HOSTILE} {n}"} for n in range(3)]
CLOCK = {"steps": [0.01, 0.02]}
ONE, OTHER = step("refund", order="a"), step("refund", order="b")
RUNS = {
    "agent": ([trace(t["id"], ONE, ONE) for t in TASKS], {"t0": None, "t1": None, "t2": "loop"}),
    "blind": ([trace(t["id"], ONE, OTHER) for t in TASKS], {t["id"]: "wrong_state" for t in TASKS}),
}
SYSTEMS = {name: (rows, [CLOCK] * 3, outcomes) for name, (rows, outcomes) in RUNS.items()}


def test_conversations_hold_every_turn_once():
    text, left_out = page.conversations(TASKS, SYSTEMS, "agent")
    data = json.loads(text)
    assert left_out == 0 and "<" not in text
    assert data["strings"] == [HOSTILE]
    assert [task["message"] for task in data["tasks"]] == [task["message"] for task in TASKS]
    assert data["failures"] == ["loop", "wrong_state"]
    assert [step["seconds"] for step in data["traces"]["agent"]["t0"]["steps"]] == [0.01, 0.02]


def test_conversations_too_many_for_a_page_leave_out_solved_ones():
    systems = {"agent": SYSTEMS["agent"]}
    whole, _ = page.conversations(TASKS, systems, "agent")
    text, left_out = page.conversations(TASKS, systems, "agent", largest=len(whole) - 1)
    assert left_out > 0 and len(text) < len(whole)
    assert "t2" in {task["id"] for task in json.loads(text)["tasks"]}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The page of a run of two systems, with hostile text in every place."""
    folder = tmp_path_factory.mktemp("page")
    row = {
        "n": 3, "ci95": [0.2, 0.9], "valid_action_rate": 1.0, "steps_mean": 2.0, "model": None,
        "latency_s": {"p50": 0.03}, "by_kind": {"refund": {"n": 3, "success": 2}},
    }  # fmt: skip
    result = {
        "dataset": "shop",
        "suite": {"n": 3, "sha256": "0" * 64},
        "headline": {"system": "agent", "success_rate": 2 / 3, "ci95": [0.2, 0.9]},
        "systems": {
            "agent": {**row, "success_rate": 2 / 3, "failures": {"loop": 1}},
            "blind": {**row, "success_rate": 0.0, "failures": {"wrong_state": 3}},
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
    for name, (rows, times, outcomes) in SYSTEMS.items():
        write_rows(folder / f"{name}.traces", rows)
        write_rows(folder / f"{name}.times", times)
        (folder / f"{name}.scores").write_text(json.dumps({"outcomes": outcomes}))
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


@pytest.fixture(scope="module")
def browser(rendered):
    """Chromium with the page open; skipped where there is none."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
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

    assert shown() == ["t0", "t1", "t2"]
    assert browser.find_element(By.CSS_SELECTOR, "#shown .customer").text.startswith("</script>")
    assert browser.find_elements(By.CSS_SELECTOR, "#shown b") == []
    Select(browser.find_element(By.ID, "outcome")).select_by_value("loop")
    assert shown() == ["t2"]
    Select(browser.find_element(By.ID, "other")).select_by_value("blind")
    marked = browser.find_elements(By.CSS_SELECTOR, "#shown .differs")
    assert ['"b"' in each.text or '"a"' in each.text for each in marked] == [True, True]
    assert {each.find_element(By.TAG_NAME, "small").text.split(":")[0] for each in marked} == {
        "Turn 2"
    }
    Select(browser.find_element(By.ID, "outcome")).select_by_value("")
    browser.find_element(By.ID, "words").send_keys("nobody wrote this")
    assert shown() == []
    assert browser.find_element(By.ID, "count").text == "0 of 3 conversations"


def test_page_fits_a_phone(browser):
    browser.set_window_size(500, 900)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
