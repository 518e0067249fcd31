"""The page of a run: what the parts add, its browser of conversations, and hostile text in it."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from render_report import render_report

from specialist.core.text import write_rows
from specialist.report import lines, page, pages, parts, spending

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "adapters": {"lora": {"base": "small"}},
    "systems": {
        "agent": {"adapter": "lora", "quantization": "Q4_K_M", "index": "minilm", "trials": 4},
        "blind": {"adapter": "lora", "quantization": "Q4_K_M", "trials": 1},
        "whole": {"adapter": "lora", "quantization": "F16", "index": "minilm"},
        "base": {"base": "small", "quantization": "F16", "index": "minilm"},
    },
}
HOSTILE = "</script><script>alert(1)</script><b>bold</b> & \u2028"


def solved(*tasks):
    """Outcomes of ten tasks; some are solved."""
    return {f"t{n}": None if n in tasks else "loop" for n in range(10)}


def test_contributions_compare_systems_that_differ_in_one_part():
    outcomes = {
        "agent": solved(*range(9)), "blind": solved(0, 1, 2), "whole": solved(*range(10)),
        "base": solved(0),
    }  # fmt: skip
    found = parts.contributions(CONFIG, outcomes, "agent")
    assert [(row["part"], row["without"], round(row["value"], 9)) for row in found] == [
        ("the adapter", "base", 0.8), ("retrieval", "blind", 0.6),
        ("Q4_K_M instead of F16", "whole", -0.1),
    ]  # fmt: skip
    assert all(row["low"] <= row["value"] <= row["high"] for row in found)
    assert found[0]["low"] > 0 and found[2]["high"] == 0


def test_failures_are_counted_by_kind_and_class():
    outcomes = {"t0": None, "t1": "loop", "t2": "loop", "talk": "wrong_state"}
    assert parts.by_kind(TASKS, outcomes) == [
        {"kind": "refund", "n": 3, "solved": 1, "failures": {"loop": 2}},
        {"kind": "talk", "n": 1, "solved": 0, "failures": {"wrong_state": 1}},
    ]


def test_systems_that_ran_some_of_the_tasks_are_compared_on_these():
    few = {task: why for task, why in solved(0).items() if task in ("t0", "t4", "t8")}
    outcomes = {name: solved(*range(9)) for name in CONFIG["systems"]} | {"base": few}
    found = parts.contributions(CONFIG, outcomes, "agent")
    assert found[0]["without"] == "base" and round(found[0]["value"], 3) == 0.667
    found = parts.contributions(CONFIG, outcomes | {"agent": few}, "agent")
    assert [row["value"] for row in found] == [0.0, pytest.approx(-2 / 3), pytest.approx(-2 / 3)]
    kinds = [{"id": task, "kind": "refund"} for task in solved()]
    assert parts.by_kind(kinds, few)[0]["n"] == 3
    traces = {name: rows for name, (rows, _) in RUNS.items()}
    outcomes = {name: scores["outcomes"] for name, (_, scores) in RUNS.items()}
    last = dict([*outcomes["blind"].items()][1:])
    found = parts.first_turns(traces, outcomes | {"blind": last}, ("blind", "agent"))
    assert found["task"] == "t1"


def test_sample_of_training_is_a_task_that_only_the_trained_system_solves():
    traces = {name: rows for name, (rows, _) in RUNS.items()}
    outcomes = {name: scores["outcomes"] for name, (_, scores) in RUNS.items()}
    found = parts.first_turns(traces, outcomes, ("blind", "agent"))
    assert found["task"] == "t0" and found["message"] == f"{HOSTILE} t0"
    assert found["turns"]["agent"] == 'look\nrefund {"order": "a"}'


def cost(seconds, memory=100, cpus=2):
    return {
        "start_s": 0.25, "import_s": 0.25, "compute_s": seconds - 0.5, "peak_memory_mb": memory,
        "threads": 1, "hardware": {"processor": "one", "cpus": cpus, "gpus": []},
    }  # fmt: skip


def test_steps_below_a_percent_of_the_time_are_small():
    found = spending.spent({"pretrain small": cost(99), "score agent": cost(0.5, 300)})
    assert found["seconds"] == 99.5 and found["memory_mb"] == 300
    assert found["steps"] == [{"step": "pretrain small", "seconds": 99, "memory_mb": 100}]
    assert [row["step"] for row in found["small"]] == ["score agent"]
    assert found["machines"] == ["one, 2 cores"]


def test_steps_of_several_machines_are_named():
    found = spending.spent({"a": cost(1), "b": cost(1, cpus=8)})
    assert found["machines"] == ["one, 2 cores", "one, 8 cores"]


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
    outcomes = {task: found[0] for task, found in trials.items()}
    return {"trials": trials, "outcomes": outcomes, "harm": {"runs": harm or {}}}


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


COSTS = {"pretrain": 90, "train_lora": 60, "score": 0.6}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The page of a run of two systems, with hostile text in every place."""
    folder = tmp_path_factory.mktemp("page")
    row = {
        "n": 3, "ci95": [0.2, 0.9], "valid_action_rate": 1.0, "steps_mean": 2.0, "model": None,
        "tokens_per_second": None,
        "latency_s": {"p50": 0.03},
        "by_kind": {"refund": {"n": 3, "success": 2}, "talk": {"n": 1, "success": 1}},
        "tasks": {"n": 3, "success_rate": 2 / 3, "harm_per_100": 0.0},
        "harm": {"examples": [{"task": "talk", "kind": "false_claim", "text": HOSTILE}]},
        "declining": {
            "unanswerable": None,
            "answerable": {"n": 8, "declined": 1, "handed_over": 1, "rate": 0.25, "ci95": [0, 1]},
        },
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
        "retrieval": {
            "recall_at_1": 0.5, "recall_at_3": 1.0, "mrr": 0.75, "n": 2, "variant": "both",
            "variants": [
                {"variant": name, "recall_at_1": 0.5, "recall_at_3": 1.0, "mrr": 0.75,
                 "ndcg_at_10": 0.8, "ms_p50": 1.5, "ms_p95": 2.5}
                for name in ("words", "meaning", "both")
            ],
        },
        "quantization": {
            "Q4_K_M": {
                "bytes": 4_000_000, "ratio_to_f16": 0.4, "bits_per_weight": 5.5,
                "perplexity": 3.0, "kl_mean": 0.02, "same_top_token": 0.95,
                "tokens_per_second": 900.0, "speedup_over_f16": 1.25,
            },
        },
        "forgetting": {
            "text": {"path": "general.txt", "sha256": "0" * 64, "bytes": 40_000}, "base": 0.8,
            "types": {"F16": {"bits_per_byte": 1.0, "ratio": 1.25}},
        },
        "gates": {"merge/lora/merge_logits": {"value": 0.1, "limit": 0.2, "passed": True}},
        "leakage": {"n_leaking": 0, "n_tasks": 3, "run_words": 8, "training_texts": 9},
        "provenance": {
            "config": {
                "adapters": {"lora": {"base": "<small>"}},
                "systems": {
                    "agent": {"adapter": "lora", "quantization": "F16"},
                    "blind": {"base": "<small>", "quantization": "F16"},
                },
            },
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
    (folder / "lora/training.json").write_text('{"held_out_loss": 1.25}')
    samples = [{"tokens": 1000, "sample": HOSTILE}]
    (folder / "base").mkdir()
    (folder / "base/loss.csv").write_text("step,loss\n1,9.5\n2,7.5\n")
    (folder / "base/pretraining.json").write_text(
        json.dumps({"held_out_loss": 7.0, "samples": samples})
    )
    for step, seconds in COSTS.items():
        (folder / step).write_text(json.dumps(cost(seconds)))
    files = [
        [folder / f"{name}.{kind}" for name in SYSTEMS] for kind in ("traces", "times", "scores")
    ]
    report = ROOT / "workflow/report"
    render_report(
        folder / "result.json", folder / "tasks.jsonl", *files, [folder / "base/pretraining.json"],
        [folder / "base/loss.csv"], [folder / "lora/loss.csv"], [folder / "lora/training.json"],
        [folder / step for step in COSTS], report / "run.html.jinja",
        [report / "page.css", report / "charts.html.jinja"], report / "run.js",
        folder / "report.html", steps=list(COSTS),
    )  # fmt: skip
    return folder / "report.html"


def test_page_needs_nothing_from_elsewhere(rendered):
    text = rendered.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    assert f"script-src '{pages.script_hash(scripts[0])}'" in policy.replace("&#39;", "'")


def test_page_shows_both_parts_harm_and_reliability(rendered):
    text = rendered.read_text()
    for tile in (
        "66.7 %</strong><span>of 3 tasks with one message solved",
        "0 in 100</strong><span>tasks with one message with harm",
        "100.0 %</strong><span>of 1 conversations solved",
        "33.3 in 100</strong><span>conversations with harm",
    ):
        assert tile in text
    declined = re.search(r'<section id="declining".*?</section>', text, re.DOTALL)[0]
    assert re.findall(r'class="figure">([^<]*)</td>', declined)[:3] == ["–", "–", "2 of 8"]
    plot = re.search(r'aria-label="pass\^k by k">(.*?)</div>', text, re.DOTALL)[1]
    assert ">agent<" in plot and ">blind<" not in plot  # which has one trial only


def text_of(rendered, section):
    """The words in a section of the page, without its tags."""
    inner = re.search(rf'<section id="{section}".*?</section>', rendered.read_text(), re.DOTALL)[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", inner)).split())


def test_page_shows_what_each_part_adds(rendered):
    assert "the adapter +75.0 points" in text_of(rendered, "systems")


def test_page_shows_time_and_memory_of_each_step(rendered):
    said = text_of(rendered, "costs")
    assert "All steps together take 2 min 31 s" in said
    assert "pretrain 1 min 30 s 100 MB train_lora 1 min 0 s 100 MB" in said
    assert "1 shorter steps Step Time Peak memory score 0.6 s" in said


def test_page_compares_quantised_types_with_f16(rendered):
    said = text_of(rendered, "quantization")
    assert "F16 10 MB 100.0 % of F16 Q4_K_M 4 MB 40.0 % of F16" in said
    assert "F16 1 × Q4_K_M 1.25 × 900 tokens/s" in said
    assert "F16 0 Q4_K_M 0.02" in said


def test_page_shows_what_the_adapter_costs_in_general_language(rendered):
    said = text_of(rendered, "forgetting")
    assert "bits per byte of general.txt (40 kB of it)" in said
    assert "base, F16 0.8 adapter, F16 1 +25.0 % of the base" in said


def test_page_shows_every_way_to_search(rendered):
    said = text_of(rendered, "retrieval")
    assert all(f"{name} 50.0 %" in said for name in ("words", "meaning", "both (in use)"))


def test_page_shows_losses_and_samples(rendered):
    said = text_of(rendered, "training")
    assert "Pretraining of base: the training loss goes from 9.5 to 7.5" in said
    assert "Fine-tuning of lora: the training loss goes from 2.5 to 1.5" in said
    assert "held out, at the end: 1.25" in said
    assert "What base wrote during pretraining After 1,000 tokens: </script>" in said
    assert "What fine-tuning changes: the first turn on task t0" in said


def test_curve_of_one_step_is_drawn(tmp_path):
    (tmp_path / "loss.csv").write_text("step,loss\n1,2.5\n")
    [plot] = lines.losses([tmp_path / "loss.csv"], [{"held_out_loss": 2.0}], "Pretraining")
    assert plot["svg"].startswith("<svg")


@pytest.fixture(scope="module")
def browser(rendered, chromium):
    """Chromium with the page open; its console must stay empty."""
    chromium.get(rendered.as_uri())
    yield chromium
    assert chromium.get_log("browser") == []


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
    choose("failure", "loop")
    assert shown() == ["t2"]
    choose("failure", "")
    choose("outcome", "failed")
    assert shown() == ["t2", "talk, trial 2"]
    choose("kind", "talk")
    assert shown() == ["talk, trial 2"]
    choose("kind", "")
    choose("outcome", "solved")
    assert shown() == ["t0", "t1", "talk"]
    choose("other", "blind")
    choose("outcome", "differs")
    assert shown() == ["t0", "t1", "talk"]  # which the other system fails
    marked = browser.find_elements(By.CSS_SELECTOR, "#shown .differs")
    assert ['"b"' in each.text or '"a"' in each.text for each in marked] == [True, True]
    assert {each.find_element(By.TAG_NAME, "small").text.split(",")[0] for each in marked} == {
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


def test_runs_are_browsed_with_the_keyboard(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.refresh()
    browser.find_element(By.CSS_SELECTOR, "#list button").send_keys(Keys.ARROW_DOWN)
    assert browser.switch_to.active_element.get_attribute("value") == "t1"
    assert browser.find_element(By.CSS_SELECTOR, "#shown h3").text == "t1, refund"
    assert browser.find_element(By.ID, "count").text == "5 of 5 runs. Shown: t1."
    current = browser.find_elements(By.CSS_SELECTOR, "#list [aria-current=true]")
    assert [button.get_attribute("value") for button in current] == ["t1"]


def test_parts_of_the_page_have_names_for_screen_readers(browser):
    unnamed = browser.execute_script("""
        const named = (e) => e.getAttribute("aria-label") || e.closest("label") ||
            document.getElementById(e.getAttribute("aria-labelledby")) || e.textContent.trim();
        return [...document.querySelectorAll("section[id],select,input,button,a,[role],[tabindex]")]
            .filter((e) => !named(e) && e.id !== "more").map((e) => e.outerHTML.slice(0, 80));""")
    assert unnamed == []
    heads = browser.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3')].map((e) => +e.tagName[1])"
    )
    assert heads[0] == 1 and heads.count(1) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_page_fits_phones_and_wide_screens(browser, screen, width, scheme):
    screen(width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    # Text and ground differ in lightness whatever the scheme is.
    dark = browser.execute_script("""
        const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g);
        return (Number(r) + Number(g) + Number(b)) / 3 < 128""")
    assert dark == (scheme == "dark")
