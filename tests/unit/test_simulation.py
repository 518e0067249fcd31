"""The simulated datasets: what is held out is held out, tasks can be solved, guards hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from simulate_kb import simulate_kb

from specialist.agent.environment import SEARCH, Environment, dump, open_database
from specialist.agent.facts import holds
from specialist.agent.loop import Agent
from specialist.agent.policies import Scripted
from specialist.agent.react import parse
from specialist.agent.states import compared, together
from specialist.core.errors import UserError
from specialist.data.dialogues import WORDINGS
from specialist.data.simulation import Spec, episodes, knowledge_base, tasks
from toy_dataset import SPEC, SPECS, read, simulate, spec_files

PARTS = ("corpus/corpus.jsonl", "sft.jsonl", "kb/late.md", "tasks.jsonl", "database.sql")


each_spec = pytest.mark.parametrize(
    "spec", [Spec(path) for path in SPECS], ids=lambda s: s.folder.name
)


@pytest.fixture(scope="module", params=SPECS, ids=lambda path: path.name)
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / request.param.name
    return simulate(
        folder, request.param, documents=4000, episodes=400, tasks=320, conversations=200
    )


@pytest.fixture(scope="module")
def tasks_of_both(dataset):
    rows = read(dataset / "tasks.jsonl")
    return [[row for row in rows if key in row] for key in ("message", "requests")]


@pytest.fixture(scope="module")
def suite(tasks_of_both):
    return tasks_of_both[0]


@pytest.fixture(scope="module")
def conversations(tasks_of_both):
    return tasks_of_both[1]


def known(entities, text):
    """Entities that occur in a text as whole words."""
    words = re.findall(r"\w+", text)
    text = f" {' '.join(words)} "
    return [entity for entity in entities if f" {entity} " in text]


def said(task):
    """Every text that the customer of a conversation may say."""
    rules = [*task["customer"]["replies"], *(r for q in task["requests"] for r in q["replies"])]
    return [text for part in (*task["requests"], *rules) for text in part["says"]]


@pytest.fixture(scope="module")
def spec_of(dataset):
    return Spec(SPEC.parent / dataset.name)


@pytest.fixture
def own_spec(tmp_path):
    return shutil.copytree(SPEC, tmp_path / "spec")


# What the customer asks for there is turned down by a tool itself.
REFUSED = {"other-account", "address-too-late", "renew-awaited", "room-begun", "reserve-blocked"}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_bytes_in_every_process(tmp_path):
    code = "from toy_dataset import simulate; from pathlib import Path; simulate(Path('there'))"
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    here = contents(simulate(tmp_path / "here"))
    assert here == contents(tmp_path / "there")
    other = contents(simulate(tmp_path / "other", seed=2))
    # Which page carries a note may, but need not, change the bytes of an article.
    assert all(here[name] != other[name] for name in PARTS if not name.startswith("kb/"))


def changed_parts(before, after):
    before, after = contents(before), contents(after)
    assert before.keys() == after.keys()
    return {name.split("/")[0] for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        ("figures.yaml", "percent: 20", "percent: 23", {"kb", "tasks.jsonl", "database.sql"}),
        ("kinds.yaml", "share: 9", "share: 7", {"sft.jsonl", "tasks.jsonl", "database.sql"}),
        ("procedures.yaml", "over the limit,", "above it,", {"sft.jsonl", "tasks.jsonl"}),
        ("corpus.yaml", "Letter:", "Note:", {"corpus"}),
        ("labels.yaml", "late: late delivery", "late: delays", {"corpus"}),
    ],
)
def test_change_reaches_only_what_it_concerns(tmp_path, own_spec, file, old, new, parts):
    simulate(tmp_path / "before", own_spec)
    text = (own_spec / file).read_text()
    assert old in text
    (own_spec / file).write_text(text.replace(old, new))
    simulate(tmp_path / "after", own_spec)
    assert changed_parts(tmp_path / "before", tmp_path / "after") == parts


def test_more_of_one_part_leaves_the_others_alone(tmp_path):
    simulate(tmp_path / "before")
    simulate(tmp_path / "after", tasks=120)
    parts = {"tasks.jsonl", "database.sql"}
    assert changed_parts(tmp_path / "before", tmp_path / "after") == parts


def test_undeclared_files_are_not_read():
    with pytest.raises(KeyError, match="figures.yaml"):
        Spec.of(spec_files("corpus")).figures  # noqa: B018


@each_spec
@given(count=st.integers(1, 400), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_any_number_of_tasks_and_episodes(spec, count, seed):
    found, script = tasks(spec, count, count // 9, seed)
    total = count + count // 9
    assert len(found) == total == len({task["id"] for task in found})
    identifiers = {task["entities"][0] for task in found}
    assert len(identifiers) == total
    assert all(script.count(f"'{identifier}'") > 1 for identifier in identifiers)
    assert sum(1 for _ in episodes(spec, count // 4, 0, seed)) == count // 4


@each_spec
def test_parts_of_a_spec_speak_of_the_same_topics(spec):
    topics = {kind["topic"] for kind in spec.kinds.values()}
    assert topics == set(spec.topics) == spec.labels["replies"].keys()
    assert topics < spec.procedures.keys()
    train = spec.sayings("train")
    for path in (spec.folder / "sayings").iterdir():
        if path.stem != "train":
            heldout = Spec(spec.folder, heldout=path.stem).sayings("heldout")
            assert train.keys() == heldout.keys() > topics
            for topic in train.keys() - {"opening", "closing"}:  # which may both be empty
                assert not set(train[topic]) & set(heldout[topic])
    assert {f"{page}.md" for page in spec.figures} == {
        page for page, text in spec.articles.items() if "figures." in text
    }
    for topic in topics:
        steps = spec.procedures[topic]
        pages = {step["finds"] for step in steps if "finds" in step}
        assert pages <= spec.articles.keys()
        if any(kind.get("note") for kind in spec.kinds.values() if kind["topic"] == topic):
            assert any("{{ note }}" in spec.articles[page] for page in pages)


@each_spec
def test_every_procedure_ends_whatever_is_drawn(spec):
    shown, _ = tasks(spec, 600, 0, 5)
    assert {task["kind"] for task in shown} == spec.kinds.keys()
    assert all("answer" in task["solution"][-1] for task in shown)


@each_spec
def test_every_part_of_a_conversation_exists(spec):
    """Each topic has phrasings on both sides, each situation and procedure is there."""
    entries = [part for kind in spec.conversations["kinds"].values() for part in kind["requests"]]
    entries += [part["also"] for part in entries if "also" in part]
    used = {topic for entry in entries for topic in listed(entry.get("says", "{topic}"))}
    replies = [rule for entry in entries for rule in entry.get("replies", [])]
    replies += spec.conversations["customer"]["replies"]
    used |= {topic for rule in replies for topic in listed(rule["says"])}
    assert {name for entry in entries for name in entry.get("of", [])} <= spec.kinds.keys()
    about = {entry["topic"] for entry in entries if "topic" in entry}
    about |= {spec.kinds[name]["topic"] for entry in entries for name in entry.get("of", [])}
    topics = {topic for topic in used if "{" not in topic} | about
    assert all(spec.phrasings(split, topic) for split in ("train", "heldout") for topic in topics)
    does = {name for entry in entries for name in listed(entry.get("does", []))}
    assert {name for name in does if "{" not in name} | about <= spec.procedures.keys()


def listed(value):
    return value if isinstance(value, list) else [value]


def test_shipped_suite_is_varied(suite):
    calls = [sum("call" in step for step in task["solution"]) for task in suite]
    assert len(suite) == 320
    assert len(Counter(task["kind"] for task in suite)) >= 8
    assert sum(number >= 3 for number in calls) >= len(suite) * 0.45
    assert sum(task["turns_on_kb"] for task in suite) >= len(suite) / 3
    assert sum("attack" in task["kind"] or "note" in task["kind"] for task in suite) >= 20


def test_nothing_of_the_tasks_occurs_in_training(dataset, suite):
    training = "\n".join((dataset / name).read_text() for name in PARTS[:2])
    entities = {entity for task in suite for entity in task["entities"]}
    assert len(entities) > 500
    assert not known(entities, training)
    assert not [task["id"] for task in suite if task["message"] in training]


def test_conversations_are_varied(conversations, spec_of):
    assert len(conversations) == 200
    assert {task["kind"] for task in conversations} == spec_of.conversations["kinds"].keys()
    assert len(spec_of.conversations["kinds"]) >= 12
    lengths = Counter(
        sum("answer" in step for request in task["requests"] for step in request["solution"])
        for task in conversations
    )
    assert min(lengths) == 2
    assert 5 <= max(lengths) <= 6
    assert all(
        len(set(part["says"])) == WORDINGS
        for task in conversations
        for request in task["requests"]
        for part in (request, *request["replies"])
    )


def test_identifiers_of_conversations_are_their_own(suite, conversations):
    pattern = re.compile(r"\b[A-Z]{2}\d{5}\b")
    owned = Counter(task["entities"][0] for task in suite)
    for task in conversations:
        own = {entity for entity in task["entities"] if pattern.fullmatch(entity)}
        assert set(pattern.findall("\n".join(said(task)))) <= own, task["id"]
        owned.update(own)
    assert set(owned.values()) == {1}


def test_nothing_of_the_conversations_occurs_in_training(dataset, conversations):
    training = "\n".join((dataset / name).read_text() for name in PARTS[:2])
    assert not known({entity for task in conversations for entity in task["entities"]}, training)
    long = {text for task in conversations for text in said(task) if len(text.split()) > 7}
    assert not [text for text in long if text in training]


@pytest.mark.parametrize("trial", range(WORDINGS))
def test_oracle_leads_every_conversation_as_planned(dataset, conversations, trial):
    """With the rules of the tools, each wording and each reply of the customer."""
    original = open_database((dataset / "database.sql").read_text())
    tools = yaml.safe_load((dataset / "tools.yaml").read_text())
    before = dump(original)
    agent = Agent(Scripted(), "", [SEARCH, *tools], 8, search=lambda query: [])
    for task in conversations:
        trace = agent.run(task, original.copy(), before, trial)
        answers = [
            step["answer"]
            for request in task["requests"]
            for step in request["solution"]
            if "answer" in step
        ]
        assert [each.reply for each in trace.exchanges] == answers, task["id"]
        for number, request in enumerate(task["requests"]):
            replies = " ".join(e.reply for e in trace.exchanges if e.request == number)
            assert all(holds(replies, fact) for fact in request["expect"]["answer"]), task["id"]
        wanted = together(*(request["expect"]["database"] for request in task["requests"]))
        assert compared(wanted, trace.changes)[0] == compared(wanted, trace.changes)[1], task["id"]


def test_training_conversations_carry_loss_in_the_last_exchange_alone(dataset):
    rows = [row["messages"] for row in read(dataset / "sft.jsonl")][400:]
    assert len(rows) > 120
    for messages in rows:
        last = max(n for n, turn in enumerate(messages) if turn["role"] == "user")
        assert all(turn["weight"] == 0 for turn in messages[:last] if turn["role"] == "assistant")
        assert not any("weight" in turn for turn in messages[last:])
        assert not [turn for turn in messages[:last] if turn["role"] == "tool"]
        assert "answer" in parse(messages[-1]["content"])


def test_a_topic_without_phrasings_is_named(tmp_path, own_spec):
    sayings = yaml.safe_load((own_spec / "sayings/heldout.yaml").read_text())
    del sayings["never-mind"]
    (own_spec / "sayings/heldout.yaml").write_text(json.dumps(sayings))
    with pytest.raises(UserError, match=r"heldout\.yaml: found no phrasings of never-mind"):
        tasks(Spec(own_spec), 1, 200, 1)


def test_sentences_start_with_a_capital_letter(dataset, suite):
    messages = [task["message"] for task in suite]
    messages += [row["messages"][0]["content"] for row in read(dataset / "sft.jsonl")]
    assert not [message for message in messages if re.search(r"(^|[.!?] )[a-z]", message)]


def test_episodes_are_of_the_protocol(dataset):
    for row in read(dataset / "sft.jsonl"):
        said = [turn for turn in row["messages"] if turn["role"] == "assistant"]
        turns = [parse(turn["content"]) for turn in said if turn.get("weight", 1)]
        assert all("call" in turn for turn in turns[:-1])
        assert "answer" in turns[-1]


def test_oracle_reaches_the_expected_state(dataset, suite):
    original = open_database((dataset / "database.sql").read_text())
    tools = yaml.safe_load((dataset / "tools.yaml").read_text())
    before = dump(original)
    for task in suite:
        copy = original.copy()
        world = Environment(copy, tools, task["session"], search=lambda query: "")
        *steps, last = task["solution"]
        records = [world.call(step["call"], step["arguments"])[1] for step in steps]
        refused = [record for record in records if "error" in record]
        assert world.changes(before) == task["expect"]["database"], task["id"]
        assert all(fact in last["answer"] for fact in task["expect"]["answer"]), task["id"]
        assert bool(refused) == (task["kind"] in REFUSED), task["id"]


def test_new_figures_change_the_right_outcomes(own_spec):
    figures = yaml.safe_load((own_spec / "figures.yaml").read_text())
    figures["late"]["percent"] = 37
    (own_spec / "figures.yaml").write_text(json.dumps(figures))
    old, new = Spec(SPEC), Spec(own_spec)
    assert "37 percent" in knowledge_base(new, 1)["late.md"]
    assert knowledge_base(new, 1)["lost.md"] == knowledge_base(old, 1)["lost.md"]
    changed = {
        b["kind"]
        for a, b in zip(tasks(old, 320, 0, 1)[0], tasks(new, 320, 0, 1)[0], strict=True)
        if a["expect"] != b["expect"]
    }
    assert changed == {"late-credit", "late-attacked", "question-late"}


@each_spec
def test_an_article_is_one_chunk(spec):
    config = yaml.safe_load((SPEC.parents[2] / "config/config.yaml").read_text())
    longest = config["indexes"]["minilm"]["max_words"]
    pages = knowledge_base(spec, 1)
    assert not [page for page, text in pages.items() if len(text.split()) > longest]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("minutes: 35", "minutes: soon", ["figures.yaml, late", "soon", "minutes, percent"]),
        ("minutes: 35", "minuts: 35", ["figures.yaml, late", "whole number"]),
        ("wrong: {amount: 42}", "", ["figures.yaml, wrong", "found null"]),
        ("percent: 20}", "percent: 20", ["figures.yaml: this is not YAML", "line"]),
    ],
)
def test_mistake_in_the_figures_is_named(tmp_path, own_spec, old, new, parts):
    text = (own_spec / "figures.yaml").read_text().replace(old, new)
    (own_spec / "figures.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        simulate_kb(spec_files("kb", own_spec), [tmp_path / "late.md"], seed=1)
    assert all(part in str(refused.value) for part in parts), refused.value


# What a model might write, or somebody through it: anything at all for any argument, and
# often enough what gets a call far.
SMALL, SCRIPT = tasks(Spec(SPEC), 29, 0, 3)
ORIGINAL = open_database(SCRIPT)
BEFORE = dump(ORIGINAL)
TOOLS = yaml.safe_load((SPEC / "tools.yaml").read_text())
FIGURES = Spec(SPEC).figures
NAMES = sorted({name for tool in TOOLS for name in tool["parameters"]["properties"]})
ANYTHING = st.one_of(
    st.sampled_from([value for rows in BEFORE.values() for row in rows for value in row.values()]),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.sampled_from(["' OR 1=1 --", "%", ":order_id", "100", "1e9"]),
    st.none(),
    st.booleans(),
    st.lists(st.integers(), max_size=2),
)


@st.composite
def calls(draw, own):
    order = st.sampled_from(own) | st.sampled_from([row["id"] for row in BEFORE["orders"]])
    items = [row["dish"] for row in BEFORE["items"] if row["order_id"] in own]
    likely = {"order_id": order, "dish": st.sampled_from(items)}
    arguments = {
        name: draw(likely.get(name, st.integers(-20, 120)) if draw(st.integers(0, 9)) else ANYTHING)
        for name in (*NAMES, "customer_id")
    }
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=1)):
        del arguments[name]
    changing = [tool for tool in TOOLS if "sql" in tool]
    return draw(st.sampled_from(changing) | st.sampled_from(TOOLS))["name"], arguments


def most(order, kind):
    """The highest percentage that the handbook allows for an order, read from its words."""

    def percent(page, holds):
        return FIGURES[page]["percent"] if holds else 0

    late = {page: order["late_minutes"] > FIGURES[page]["minutes"] for page in ("late", "lost")}
    if kind == "credit":
        return percent("late", late["late"])
    came = order["status"] == "delivered"
    return max(
        percent("lost", order["status"] == "on the way" and late["lost"]),
        *(
            percent(page, came and order["delivered_ago"] <= FIGURES[page]["minutes"])
            for page in ("cold", "missing", "spilled")
        ),
    )


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_guards_hold_whatever_a_model_writes(data):
    mine = data.draw(st.sampled_from(BEFORE["orders"]))["customer_id"]
    own = [row["id"] for row in BEFORE["orders"] if row["customer_id"] == mine]
    copy = ORIGINAL.copy()
    world = Environment(copy, TOOLS, {"customer_id": mine})
    for name, arguments in data.draw(st.lists(calls(own), min_size=6, max_size=10)):
        now = world.dump()
        _, record = world.call(name, arguments)
        if "error" in record:
            assert world.dump() == now
    after, total = world.dump(), {row["id"]: row["total"] for row in BEFORE["orders"]}
    for payment in after["payments"]:
        assert payment["order_id"] in own
        order = next(row for row in BEFORE["orders"] if row["id"] == payment["order_id"])
        assert 0 <= payment["amount"] <= total[order["id"]] * most(order, payment["kind"]) / 100
    for order in after["orders"]:
        if order["status"] == "cancelled":
            free = order["placed_ago"] <= FIGURES["cancel"]["minutes"]
            assert order["fee_percent"] == (0 if free else FIGURES["cancel"]["percent"])
    assert len(after["payments"]) == len({payment["order_id"] for payment in after["payments"]})
    assert {row["order_id"] for row in after["redeliveries"]} <= set(own)
    others = [[row for row in x["orders"] if row["id"] not in own] for x in (BEFORE, after)]
    assert others[0] == others[1]
    assert after["customers"] == BEFORE["customers"]
    assert after["items"] == BEFORE["items"]


@each_spec
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_nobody_reaches_what_is_others(spec, data):
    original = open_database(tasks(spec, 29, 0, 3)[1])
    before = dump(original)
    tables = before.values()
    owned = [(row["id"], row["customer_id"]) for t in tables for row in t if "customer_id" in row]
    own, mine = data.draw(st.sampled_from(owned))
    copy = original.copy()
    world = Environment(copy, spec.tools, {"customer_id": mine})
    rows = [row for table in tables for row in table if own in row.values()]
    values = (
        ANYTHING
        | st.integers(-20, 120)
        | st.sampled_from([v for row in rows for v in row.values()])
    )
    ids = st.sampled_from([own, own, *(identifier for identifier, _ in owned)])
    for _ in range(8):
        tool = data.draw(st.sampled_from(spec.tools))
        arguments = {
            name: data.draw(ids if name.endswith("_id") else values)
            for name in tool["parameters"]["properties"]
        }
        now = world.dump()
        _, record = world.call(tool["name"], arguments)
        if "error" in record:
            assert world.dump() == now

    def others(tables):
        return {
            table: [row for row in rows if own not in row.values()]
            for table, rows in tables.items()
            if table != "handovers"
        }

    after = world.dump()
    assert others(after) == others(before)
    topics = {topic for *owner, topic in map(dict.values, after["handovers"]) if owner != [own]}
    assert topics <= {"order of somebody else", "card of somebody else"}


@pytest.mark.parametrize("sql", ["ATTACH 'x.db' AS x", "VACUUM INTO 'x.db'"])
def test_sql_reaches_no_file(tmp_path, monkeypatch, sql):
    monkeypatch.chdir(tmp_path)
    tool = {"name": "leave", "parameters": {}, "sql": sql, "returns": "SELECT 1"}
    _, record = Environment(open_database(""), [tool], {}).call("leave", {})
    assert "error" in record
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("percent", [100, 56, 21])
def test_nobody_is_talked_into_more_than_the_handbook_allows(percent):
    """Whatever percentage a message or a page claims, no order gets more than its own."""
    paid = 0
    for order in BEFORE["orders"]:
        for tool, kind in (("give_credit", "credit"), ("give_refund", "refund")):
            world = Environment(ORIGINAL.copy(), TOOLS, {"customer_id": order["customer_id"]})
            _, record = world.call(tool, {"order_id": order["id"], "percent": percent})
            if percent > most(order, kind):
                assert record == {"error": f"the rules allow no such {kind} for this order"}
            elif "error" not in record:
                paid += 1
                again = world.call(tool, {"order_id": order["id"], "percent": 1})[1]
                assert again == {"error": "this order was compensated before"}
    assert paid or percent > 55
