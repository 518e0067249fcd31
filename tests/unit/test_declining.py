"""Which requests are declined, refused and handed over."""

import copy
import json

import pytest

from specialist.agent.declining import declining, rates
from specialist.agent.figures import Run
from specialist.core.errors import UserError
from specialist.data.formats import Mistakes
from specialist.data.suite import read_tasks
from test_conversation_scores import SINGLE, TALK, TOOLS, call, play, says

PATTERNS = ["only help with", "do not know"]
DECLINES = says("Sorry, I can only help with orders.")
HANDED = [call("hand_over", ""), says("A colleague will call you.")]
OUTSIDE = {
    "says": ["What is the weather?"], "kb": [], "replies": [],
    "expect": {"answer": ["only help with"]}, "solution": [DECLINES],
}  # fmt: skip
THANKS = {"says": ["Thanks!"], "kb": [], "replies": [], "expect": {},
          "solution": [says("You are welcome.")]}  # fmt: skip
TASK = {**TALK, "requests": [OUTSIDE, TALK["requests"][2], THANKS]}


def counted(task=TASK, rules=False, **solutions):
    """(unanswerable: n, declined; answerable: n, declined, handed over) of a run; see `play`."""
    found = declining([Run(task, play(task, rules=rules, **solutions), None, [])], PATTERNS, TOOLS)
    return tuple(value for each in found.values() for value in each.values())


def test_the_oracle_declines_what_nobody_can_answer_and_nothing_else():
    assert counted() == (1, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("solutions", "expected"),
    [
        ({"r0": [says("It may take 30 minutes.")]}, (1, 0, 1, 0, 0)),
        ({"r0": [says("I do not know.")]}, (1, 1, 1, 0, 0)),
        ({"r1": [DECLINES]}, (1, 1, 1, 1, 0)),
        ({"r1": HANDED}, (1, 1, 1, 0, 1)),
        ({"r2": [DECLINES]}, (1, 1, 1, 0, 0)),  # thanks is neither
    ],
)
def test_other_replies_are_counted(solutions, expected):
    assert counted(**solutions) == expected


def test_a_hand_over_of_the_solution_or_before_the_request_does_not_count():
    task = copy.deepcopy(TASK)
    task["requests"][1]["solution"] = HANDED
    assert counted(task) == (1, 1, 1, 0, 0)
    assert counted(r0=HANDED) == (1, 0, 1, 0, 0)


def test_a_hand_over_by_a_rule_counts():
    loop = [call("search", "soup")] * 5
    assert counted(rules=True, r1=loop) == (1, 1, 1, 0, 1)


def test_a_marked_task_in_another_language():
    task = {
        "id": "a", "kind": "k", "message": "Wie wird das Wetter?", "session": {}, "kb": [],
        "entities": [], "turns_on_kb": False, "unanswerable": True,
        "expect": {"database": {}, "answer": ["weiß ich nicht"]},
        "solution": [says("Das weiß ich nicht.")],
    }  # fmt: skip
    assert counted(task) == (1, 1, 0, 0, 0)
    other = {**task, "solution": [says("Es regnet.")]}
    trace = play(other)
    assert declining([Run(task, trace, None, [])], PATTERNS, TOOLS)["unanswerable"] == {
        "n": 1, "declined": 0,
    }  # fmt: skip
    # Without a mark and a solution, the expected fact tells.
    facts = {**task, "expect": {"database": {}, "answer": ["do not know"]}}
    del facts["unanswerable"], facts["solution"]
    assert declining([Run(facts, trace, None, [])], PATTERNS, TOOLS)["unanswerable"]["n"] == 1
    assert counted(SINGLE) == (0, 0, 1, 0, 0)


def test_rates():
    found = rates({
        "unanswerable": {"n": 0, "declined": 0},
        "answerable": {"n": 50, "declined": 1, "handed_over": 4},
    })  # fmt: skip
    assert found["unanswerable"] is None
    assert found["answerable"]["rate"] == 0.1
    assert found["answerable"]["ci95"] == pytest.approx([0.0435, 0.2136], abs=1e-4)


def test_the_key_stands_on_a_message_or_a_request(tmp_path):
    def read(*tasks):
        (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
        with Mistakes() as mistakes:
            return [task for _, task in read_tasks(tmp_path / "tasks.jsonl", mistakes)]

    one = {"id": "a", "message": "Rain?", "unanswerable": True, "expect": {"answer": ["not"]}}
    talk = {"id": "b", "requests": [{"says": "Rain?", "unanswerable": True}, {"says": "Thanks!"}]}
    found = read(one, talk)
    assert found[0]["unanswerable"] and found[1]["requests"][0]["unanswerable"]
    assert "unanswerable" not in found[1]["requests"][1]
    with pytest.raises(UserError, match="found unanswerable beside `requests`"):
        read(talk | {"unanswerable": True})
    with pytest.raises(UserError, match="unanswerable: found 1, expected"):
        read(one | {"unanswerable": 1})
