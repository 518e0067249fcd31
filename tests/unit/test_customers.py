"""Conversations of a suite: played with their customer before training, refused by place."""

import copy
import json

import pytest
from prepare_tasks import prepare_tasks

from specialist.core.errors import UserError
from specialist.data.customers import sayings
from toy_dataset import jsonl

DATABASE = """
CREATE TABLE loans (title TEXT PRIMARY KEY, reader INTEGER, due INTEGER);
CREATE TABLE notes (text TEXT);
INSERT INTO loans VALUES ('Emma', 1, 3), ('Dracula', 1, 8), ('Ivanhoe', 2, 1);
"""
TOOLS = """
- name: renew
  description: Renew a loan.
  parameters: &title
    type: object
    properties: {title: {type: string}}
    required: [title]
  require:
    - sql: SELECT 1 FROM loans WHERE title = :title AND reader = :reader
      otherwise: this book is not on loan to the reader
  sql: UPDATE loans SET due = due + 2 WHERE title = :title
  returns: SELECT due FROM loans WHERE title = :title
- name: give_back
  description: End a loan.
  parameters: *title
  sql: DELETE FROM loans WHERE title = :title AND reader = :reader
  returns: SELECT 'done' AS ended
"""


def changed(title, before, after):
    row = {"title": title, "reader": 1}
    added = [] if after is None else [{**row, "due": after}]
    return {"loans": {"removed": [{**row, "due": before}], "added": added}}


def call(name, title):
    return {"thought": "t", "call": name, "arguments": {"title": title}}


def says(text):
    return {"thought": "t", "answer": text}


# Which book? It is renewed twice; then it is given back after a yes; then thanks.
TASK = {
    "id": "a",
    "session": {"reader": 1},
    "entities": ["Emma"],
    "requests": [
        {
            "says": ["More time, please.", "Can I keep it?"],
            "expect": {"database": changed("Emma", 3, 5), "answer": ["5"]},
            "replies": [{"hears": "which book", "says": ["Emma", "It is Emma."]}],
            "solution": [says("Which book is it?"), call("renew", "Emma"), says("Due in 5 weeks.")],
        },
        {
            "says": "Longer still!",
            "expect": {"database": changed("Emma", 5, 7), "answer": ["7"]},
            "solution": [call("renew", "Emma"), says("It is due in 7 weeks.")],
        },
        {
            "says": "No, take it back.",
            "expect": {"database": changed("Emma", 7, None)},
            "replies": [{"hears": r"shall i .*\?", "says": ["Yes.", "Do!"], "confirms": True}],
            "solution": [says("Shall I end the loan?"), call("give_back", "Emma"), says("Done.")],
        },
        {"says": ["Thanks.", "Thank you."], "solution": [says("You are welcome.")]},
    ],
    "customer": {"replies": [{"hears": "what title", "says": "I said Emma.", "vain": True}]},
}


@pytest.fixture
def prepare(tmp_path):
    """Function that prepares tasks: what it writes, or the lines that refuse them."""

    def prepared(*tasks, tools=TOOLS, **limits):
        for name, text in (("s.jsonl", jsonl(*tasks)), ("t.yaml", tools), ("d.sql", DATABASE)):
            (tmp_path / name).write_text(text)
        paths = [tmp_path / name for name in ("s.jsonl", "t.yaml", "d.sql", "out.jsonl")]
        paths[3].unlink(missing_ok=True)
        limits = {"max_steps": 3, "context": 200, "max_messages": 12, **limits}
        try:
            prepare_tasks(paths[:1], *paths[1:], articles=[], **limits)
        except UserError as error:
            assert not paths[3].exists()
            return [line.strip() for line in str(error).replace(f"{tmp_path}/", "").split("\n")[1:]]
        return [json.loads(line) for line in paths[3].read_text().splitlines()]

    return prepared


def with_value(place, value):
    """The good task with a value at a place such as "requests.0.says"; None removes it."""
    task = copy.deepcopy(TASK)
    *parents, key = [int(part) if part.isdigit() else part for part in place.split(".")]
    entry = task
    for parent in parents:
        entry = entry[parent]
    if value is None:
        del entry[key]
    else:
        entry[key] = value
    return task


def test_a_conversation_is_played_and_filled_in(prepare):
    plain = {
        "id": "b",
        "message": "Renew Emma.",
        "session": {"reader": 1},
        "expect": {"database": changed("Emma", 3, 5)},
        "solution": [call("renew", "Emma"), says("Done.")],
    }
    spoken, single = prepare(TASK, plain)
    assert "kb" not in spoken and "expect" not in spoken and "customer" not in single
    assert spoken["requests"][3] == {
        **TASK["requests"][3],
        "kb": [],
        "replies": [],
        "expect": {"database": {}, "answer": []},
    }
    assert spoken["requests"][0]["replies"] == TASK["requests"][0]["replies"]
    assert single["expect"] == {"database": changed("Emma", 3, 5), "answer": []}


def test_a_conversation_without_solutions_follows_its_rows(prepare):
    task = copy.deepcopy(TASK)
    for request in task["requests"]:
        del request["solution"]
    assert prepare(task)[0]["id"] == "a"
    task["requests"][1]["expect"]["database"] = changed("Emma", 3, 5)  # the rows of the start
    [line] = prepare(task)
    assert line.startswith("s.jsonl:1, requests[1].expect.database.loans.removed[0]: found {")
    assert line.endswith("expected a row that the database holds before the task")


def test_every_saying_is_found():
    texts = [text for _, text in sayings(TASK)]
    assert len(texts) == 2 + 2 + 1 + 1 + 2 + 2 + 1
    assert {"Can I keep it?", "It is Emma.", "Do!", "I said Emma."} < set(texts)


ASKS = "requests.0.replies.0"
REFUSED = [
    # form
    ("requests", [], "requests: found [], expected list, at least 1"),
    ("requests.0.says", None, "requests[0].says: is missing, expected text"),
    ("requests.0.says", " ", 'requests[0].says: found " ", expected text'),
    ("requests.0.says", ["a", ""], 'requests[0].says[1]: found "", expected text'),
    ("requests.0.says", "a <|pad|>", "requests[0].says: found <|pad|>, expected text without"),
    (f"{ASKS}.says", ["a <|pad|>"], "requests[0].replies[0].says[0]: found <|pad|>"),
    ("message", "Hello", "message: found message beside `requests`, expected one of the two; move"),
    ("expect", {}, "expect: found expect beside `requests`, expected one of the two; move it to"),
    (
        "requests.0.reply",
        [],
        "requests[0].reply: unknown key, expected one of says, kb, expect, unanswerable, rep",
    ),
    (
        "requests.1.solution",
        None,
        "requests[1].solution: found no solution, but other requests have",
    ),
    (
        "requests.0.solution.0",
        call("renew", "Emma"),
        "requests[0].replies[0].hears: found 'which b",
    ),
    (
        "requests.1.solution.0.call",
        "renu",
        "requests[1].solution[0].call: found the unknown tool renu",
    ),
    (
        "requests.3.solution.0",
        call("renew", "x"),
        "requests[3].solution[0]: found thought, call, arg",
    ),
    # a customer who never stops
    (
        f"{ASKS}.times",
        1000,
        "requests[0].replies[0].times: found 1000, expected whole number, at lea",
    ),
    (
        f"{ASKS}.times",
        0,
        "requests[0].replies[0].times: found 0, expected whole number, at least 1",
    ),
    (
        "customer.patience",
        99,
        "customer.patience: found 99, expected whole number, at least 0, at m",
    ),
    # rules
    (
        f"{ASKS}.hears",
        "(",
        "requests[0].replies[0].hears: found '(', expected a regular expression",
    ),
    (
        f"{ASKS}.hears",
        r"(a)\1",
        "requests[0].replies[0].hears: found '(a)\\\\1', expected a regular",
    ),
    (
        f"{ASKS}.hears",
        "(w{900}){900}",
        "requests[0].replies[0].hears: found '(w{900}){900}', expected",
    ),
    (f"{ASKS}.hears", "(book)?", "replies[0].hears: found '(book)?', which matches every reply"),
    (
        f"{ASKS}.hears",
        "wich book",
        "requests[0].replies[0].hears: found 'wich book', which matches no",
    ),
    (f"{ASKS}.vain", True, "requests[0].solution[0].answer: a rule with `vain` matches this"),
    (
        f"{ASKS}.hears",
        "weeks",
        "requests[0].solution[0].answer: no rule matches this, so the customer g",
    ),
    (
        "requests.1.replies",
        [{"hears": "due", "says": "When?"}],
        "requests[1].solution[1].answer: this is the last answer, but a rule matches it and the c",
    ),
    (
        "customer.replies.0",
        {"hears": "book", "says": "Emma"},
        "customer.replies[0].hears: found 'book', which is never used: rules before it hear",
    ),
    (
        "customer.replies.0.vain",
        False,
        "customer.replies[0].hears: found 'what title', which matches",
    ),
    (
        "customer.replies.0.confirms",
        True,
        "customer.replies[0].confirms: found a yes in the rules of",
    ),
    # a yes
    (f"{ASKS}.confirms", True, None),
    (
        "requests.2.solution",
        [call("give_back", "Emma"), says("Shall I stop?"), says("Done.")],
        "requests[2].solution[0]: give_back changes the database before the customer confirms it",
    ),
    (
        "requests.3",
        {
            "says": "Thanks.",
            "replies": [{"hears": "more", "says": "Yes.", "confirms": True}],
            "solution": [says("Anything more?"), says("Well.")],
        },
        "requests[3].replies[0].confirms: found a yes, but no call of the solution after it",
    ),
    # what is expected
    (
        "requests.1.expect.database",
        changed("Emma", 3, 5),
        "requests[1].expect.database.loans.removed[0]: found",
    ),
    (
        "requests.1.expect.database",
        changed("Emma", 5, 9),
        "requests[1].expect.database.loans.added.due: expected 9, found 7 after the solution",
    ),
    ("requests.1.expect.answer", ["8"], 'requests[1].expect.answer[0]: expected "8" in the answer'),
    ("requests.0.expect.answer", [" "], 'requests[0].expect.answer[0]: found " ", which no answer'),
    (
        "requests.1.expect.database",
        {"notes": {"added": [{"text": "x"}]}},
        "requests[1].expect.database.notes: no tool of tools.yaml changes this table",
    ),
    (
        "requests.3",
        {"says": "Thanks a lot.", "expect": {"answer": ["lot"]}, "solution": [says("A lot!")]},
        "requests[3].expect.answer: the message already contains all of it, so repeating",
    ),
    (
        "requests",
        [TASK["requests"][3]],
        "requests: found no change of the database and no fact, so any reply solves",
    ),
    (
        "requests.1.solution",
        [call("renew", "Ivanhoe"), says("7")],
        "(solution[0] was refused: this book is not on loan to the reader); fix",
    ),
    # the loop's limits
    (
        "requests.1.solution",
        [call("renew", "Ivanhoe"), call("renew", "Ivanhoe"), says("7")],
        "requests[1].solution[1]: found the call and the result of the step before",
    ),
    (
        "requests.1.solution",
        [call("renew", title) for title in ("x", "y", "Emma")] + [says("It is 7.")],
        "requests[1].solution[0]: found 4 steps for one message, but agent.max_steps allows 3",
    ),
    (
        "requests.1.says",
        1000 * "long ",
        "requests[1].solution: found a conversation of at least 639 tokens, but agent.",
    ),
    (
        "requests.0.solution.0.answer",
        "Which book?\nTell",
        "[0].answer: found '\\n', which the agent",
    ),
]


@pytest.mark.parametrize(("place", "value", "expected"), REFUSED)
def test_a_bad_conversation_is_refused(prepare, place, value, expected):
    lines = prepare(with_value(place, value))
    if expected is None:
        assert lines[0]["id"] == "a"
        return
    assert all(line.startswith("s.jsonl:1, ") for line in lines)
    assert any(expected in line for line in lines), lines


def test_a_customer_needs_requests(prepare):
    task = {"id": "b", "message": "Hello", "expect": {"answer": ["x"]}, "customer": {}}
    assert prepare(task)[0].startswith("s.jsonl:1, customer: found a customer without `requests`")
    lines = prepare({"id": "b"})
    assert lines[0].startswith("s.jsonl:1, message: is missing, expected text")
    assert lines[1].startswith("s.jsonl:1, expect: is missing, expected group of keys")


def test_the_customer_stops_within_the_limit(prepare):
    assert prepare(TASK, max_messages=7)[0]["id"] == "a"  # four requests, three answers by rules
    [line] = prepare(TASK, max_messages=6)
    assert line.startswith(
        "s.jsonl:1, requests: the customer may write 7 messages, but agent.max_m"
    )
    task = with_value("customer.patience", 1)  # one each in the first and third, one shared
    task["customer"]["replies"][0]["times"] = 20
    assert "may write 8 messages" in prepare(task, max_messages=6)[0]


def test_one_answer_must_not_solve_many_conversations(prepare):
    asked = {"says": "May I?", "expect": {"answer": ["no"]}, "solution": [says("No, sorry.")]}
    easy = {"session": {"reader": 1}, "requests": [asked, TASK["requests"][3]]}
    suite = [{**TASK, "id": f"hard-{number}"} for number in range(8)]
    suite += [{**easy, "id": f"easy-{number}"} for number in range(3)]
    assert prepare(*suite[:-1])[0]["id"] == "hard-0"  # two of ten
    assert prepare(*suite) == [
        "s.jsonl: the answer 'No, sorry.' alone solves 3 of 11 conversations, expected at most "
        "25%; add facts or changes of the database to them"
    ]


RULED = TOOLS.replace("sql: UPDATE", "said: [title]\n  claims: [due in]\n  sql: UPDATE").replace(
    "sql: DELETE", "confirm: true\n  sql: DELETE"
)


def test_rules_of_the_tools_hold_in_every_wording(prepare):
    said = with_value(f"{ASKS}.says", ["Emma", "The thin one."])
    assert prepare(said)[0]["id"] == "a"
    assert prepare(TASK, tools=RULED)[0] == "s.jsonl:1, requests[2].solution[1]: a rule of the " + (
        "tools refuses this in wording 1 of the customer: ask the customer to confirm first; fix "
        "the solution"
    )
    fixed = with_value("requests.2.replies.0.says", ["Yes.", "Sure, do!"])
    assert prepare(fixed, tools=RULED)[0]["id"] == "a"
    fixed["requests"][0]["replies"][0]["says"][1] = "The thin one."
    [line] = prepare(fixed, tools=RULED)[:1]
    assert "requests[0].solution[1]: a rule of the tools refuses this in wording 1" in line
    assert "the customer did not mention Emma" in line
    fixed["requests"][0]["replies"][0]["says"][1] = "It is Emma."
    fixed["requests"][0]["solution"][0]["answer"] = "It is due in a week. Which book?"
    [line] = prepare(fixed, tools=RULED)
    assert "requests[0].solution[0]: a rule of the tools refuses this: claims somet" in line
