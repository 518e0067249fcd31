"""Held-out conversations that a teacher writes, and a judge that may drop what it wrote."""

import json
from types import SimpleNamespace

import pytest
import yaml
from judge_candidates import judge_candidates
from prepare_tasks import prepare_tasks
from synthesize_requests import synthesize_requests

import bike_shop
from project import ROOT
from specialist.agent.database import open_database
from specialist.core.completions import Reply
from specialist.core.errors import UserError
from specialist.core.text import read_rows, write_rows
from specialist.synthesis.calls import Calls
from specialist.synthesis.checks import check_words
from specialist.synthesis.preparation import Preparation
from specialist.synthesis.requests import spoken
from specialist.synthesis.resources import Prompts, read_replies
from specialist.synthesis.selection import Selection
from teacher import serve

FILES = sorted((ROOT / "resources/synthesis").iterdir())
TOOLS = yaml.safe_load(bike_shop.TOOLS)
TOOLS[1] |= {"confirm": True, "said": ["bike"]}
LIMITS = {"max_steps": 8, "context": 1024, "max_messages": 12}
ARTICLES = ["opening.md", "prices.txt"]
WORDS = ("pedal saddle chain", "racer spoke basket", "tyre dynamo lamp", "mudguard bell lock",
         "helmet pump trailer", "handlebar brake tube")  # fmt: skip
CHUNK = {"id": "prices.txt#0", "title": "Prices", "text": "A service costs 45 euros."}
QUESTION = {
    "kind": "question", "chunk": CHUNK["id"], "source": "prices.txt", "style": "direct",
    "held_out": True, "question": "So a service, what is it?", "answer": "It costs 45 euros.",
    "read": [CHUNK["id"]], "passage": CHUNK["text"],
}  # fmt: skip
TRAINED = {**QUESTION, "style": "short", "held_out": False, "question": "price of service"}


class Helper:
    """A teacher of the workshop: no message is like another, and results are read out."""

    def __init__(self):
        self.number = 0

    def __call__(self, prompt, _=None):
        if "The result: " in prompt:
            result = json.loads(prompt.split("The result: ")[1].splitlines()[0])
            return " ".join(f"The {name} is {value}." for name, value in result.items())
        self.number += 1
        asked = prompt.split("Use other words")[0].splitlines()
        values = [line.split(": ")[1] for line in asked if line.startswith("- ")]
        return f"About the {' '.join([WORDS[self.number % 6], *values])}, please."


def written(folder, **given):
    """What synthesize_requests writes for the workshop."""
    (folder / "tools.yaml").write_text(yaml.safe_dump(TOOLS))
    (folder / "database.sql").write_text(bike_shop.DATABASE)
    with serve(Helper()) as (url, _):
        synthesize_requests(
            folder / "tools.yaml", folder / "database.sql", FILES, [], folder / "out.jsonl",
            teacher={"url": url, "model": "m", "max_tokens": 99, "temperature": 0.5},
            held_out=False, seed=1, threads=1, checkpoints=SimpleNamespace(folder=folder / "kept"),
            **given,
        )  # fmt: skip
    return [*read_rows(folder / "out.jsonl")]


def selected(folder, rows, limits=LIMITS, most_tasks=0, most=9):
    mistake = Preparation(
        folder / "tools.yaml", folder / "database.sql", {"customer"}, ARTICLES, limits
    ).mistake
    found = Selection(
        rows, lambda questions: [[CHUNK]] * len(questions), read_replies(FILES, True),
        {"the", "about", "it"}, 1, TOOLS, mistake,
    )  # fmt: skip
    found.select([], most_tasks, most)
    return found


def test_calls_of_one_customer_follow_each_other():
    pairs = Calls(TOOLS, open_database(bike_shop.DATABASE), seed=1).together(2)
    assert [[call["tool"] for call in calls] for calls in pairs] == [
        ["find_repair"],
        ["approve", "find_repair"],
    ]
    first, second = pairs[1]
    assert first["session"] == second["session"]
    assert first["changes"]["repairs"]["added"][0]["state"] == "approved"
    assert json.loads(second["result"])["state"] == "approved"  # what the first call made of it
    assert second["changes"] == {}


def test_conversations_pass_the_preparation_of_tasks(tmp_path):
    rows = written(tmp_path, requests=0, conversations=3)
    assert not any("dropped" in row for row in rows)
    found = selected(tmp_path, [*rows, QUESTION, TRAINED])
    assert found.dropped == {} and len(found.rows) == 1
    assert found.report()["conversations"] == len(found.conversations) == 3
    write_rows(tmp_path / "tasks.jsonl", found.conversations)
    prepare_tasks(
        [tmp_path / "tasks.jsonl"], tmp_path / "tools.yaml", tmp_path / "database.sql",
        tmp_path / "prepared.jsonl", articles=ARTICLES, **LIMITS,
    )  # fmt: skip
    first, second, third = read_rows(tmp_path / "prepared.jsonl")
    assert [len(task["requests"]) for task in (first, second, third)] == [3, 3, 2]
    asked, found_repair, thanks = first["requests"]
    assert (asked["kb"], asked["expect"]["answer"]) == (["prices.txt"], ["45"])
    [later] = found_repair["replies"]
    assert found_repair["solution"][0]["answer"] in ("Which bike is it?", "What is the bike?")
    bike = found_repair["solution"][1]["arguments"]["bike"]
    assert bike not in found_repair["says"] and bike in later["says"]
    assert thanks["says"] in read_replies(FILES, True)["thanks"]
    assert thanks["expect"] == {"database": {}, "answer": []}
    approve, look, _ = second["requests"]
    assert approve["replies"][-1]["confirms"]
    assert approve["expect"]["database"]["repairs"]["added"][0]["state"] == "approved"
    assert "approved" in look["expect"]["answer"]


def test_a_conversation_that_cannot_be_played_is_dropped_with_its_mistake(tmp_path):
    rows = written(tmp_path, requests=0, conversations=2)
    found = selected(tmp_path, [*rows, QUESTION, TRAINED], {**LIMITS, "max_messages": 4}, 1)
    refused = found.dropped["fails_preparation"]
    assert "agent.max_messages allows 4" in refused[0]["why"]
    assert all(each["kind"] == "request" for each in refused)
    assert [task["kind"] for task in found.tasks] == ["synthetic_question"]


def test_a_conversation_stands_or_falls_as_a_whole(tmp_path):
    rows = written(tmp_path, requests=0, conversations=2)
    false = [row | {"answer": "It costs 99 euros."} if row["part"] else row for row in rows]
    found = selected(tmp_path, [*false, TRAINED])
    assert [row["part"] for row in found.dropped["unsupported_fact"]] == [1]
    assert [row["part"] for row in found.dropped["incomplete_conversation"]] == [0]
    assert [len(task["requests"]) for task in found.conversations] == [2]


def test_two_questions_make_a_conversation_without_tools(tmp_path):
    other = {**QUESTION, "question": "And the fee for looking after my gears?"}
    prepared = Preparation([], [], set(), ARTICLES, LIMITS)
    found = Selection(
        [QUESTION, other, TRAINED], lambda questions: [[CHUNK]] * len(questions),
        read_replies(FILES, True), {"it"}, 1, (), prepared.mistake,
    )  # fmt: skip
    found.select([], 0, 5)
    [task] = found.conversations
    assert [request["says"] for request in task["requests"][:2]] == [
        QUESTION["question"],
        other["question"],
    ]
    assert found.dropped == {} and found.tasks == []


def test_conversations_need_a_style_that_is_held_out():
    prompts = SimpleNamespace(styles=[{"name": "a", "how": "b"}])
    with pytest.raises(UserError, match="found no style with `held_out: true`"):
        spoken(TOOLS, None, prompts, None, 1)


def test_a_value_that_is_said_too_early_is_dropped():
    calls = Calls(TOOLS, open_database(bike_shop.DATABASE), seed=1)
    said = Reply("Where are my unicycle and my handcycle?", True)
    [row] = spoken(TOOLS, calls, Prompts(FILES), lambda prompt: said, 1)
    assert row["dropped"] == "argument_said" and row["later"] == ["bike"]


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("What does a service cost?", "It costs 45 euros.", None),
        ("What is the question? The question is: What is the question?", "45", "repeats_itself"),
        ("What is it?", "It is 45 and it is 45 and it is 45 and it is 45.", "repeats_itself"),
        ("What is it?", "20 percent of the price, later 40 percent of the price.", None),
    ],
)
def test_texts_that_repeat_themselves_are_dropped(question, answer, reason):
    assert check_words({"question": question, "answer": answer}) == reason


def test_an_answer_that_adds_nothing_to_its_question_is_dropped(tmp_path):
    echo = {**TRAINED, "question": "What does a service cost?", "answer": "A service does cost it."}
    (tmp_path / "tools.yaml").write_text("[]")
    (tmp_path / "database.sql").write_text("")
    found = selected(tmp_path, [echo, TRAINED], most=0)
    assert [row["answer"] for row in found.dropped["adds_nothing"]] == [echo["answer"]]
    assert len(found.rows) == 1


def judged(folder, rows, reply):
    """The rows with the verdicts of a judge, and its requests."""
    write_rows(folder / "rows.jsonl", rows)
    prompts = [path for path in FILES if path.name.startswith("judge_")]
    with serve(reply) as (url, asked):
        judge_candidates(
            folder / "rows.jsonl", prompts, [], folder / "judged.jsonl",
            judge={"url": url, "model": "j", "max_tokens": 9, "temperature": 0}, seed=1, threads=1,
            checkpoints=SimpleNamespace(folder=folder / "verdicts"),
        )  # fmt: skip
    return [*read_rows(folder / "judged.jsonl")], asked


def test_a_judge_drops_rows_and_keeps_none_that_a_check_drops(tmp_path):
    rows = written(tmp_path, requests=2, conversations=0)
    false = {**TRAINED, "question": "service fee of spring", "answer": "It costs 46 euros."}
    lost = {**QUESTION, "dropped": "no_answer"}
    rows = [*rows, TRAINED, false, lost]
    before = selected(tmp_path, rows, most=0)
    kept, asked = judged(tmp_path, rows, lambda prompt, _: "Yes.")
    assert len(asked) == len(rows) - 1 and "verdict" not in kept[-1]
    friendly = selected(tmp_path, kept, most=0)
    assert friendly.rows == before.rows
    assert friendly.report()["judged"] == {"yes": len(rows) - 1}
    assert {k: len(v) for k, v in friendly.dropped.items()} == {"no_answer": 1,
                                                                 "unsupported_fact": 1}  # fmt: skip
    (tmp_path / "verdicts/replies.jsonl").unlink()

    def strict(prompt, _):
        return "no" if "The result was: " in prompt else "I cannot tell."

    kept, _ = judged(tmp_path, rows, strict)
    found = selected(tmp_path, kept, most=0)
    counts = {reason: len(told) for reason, told in found.dropped.items()}
    requests = sum(row["kind"] == "request" for row in rows)
    assert counts == {"judge_says_no": requests, "judge_unclear": 1, "no_answer": 1,
                      "unsupported_fact": 1}  # fmt: skip
    assert found.rows == []
