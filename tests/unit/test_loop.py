"""Conversations: simulated customers, what the model remembers, and the rules of the tools."""

import contextlib
import json
import time

import pytest
from run_agent import run_agent

from specialist.agent import react
from specialist.agent.customer import Customer, Message
from specialist.agent.environment import dump, open_database
from specialist.agent.loop import Agent, drive
from specialist.agent.memory import LEFT_OUT, remembered
from specialist.agent.policies import Policy, Random, Repeat, Scripted, Turn
from specialist.agent.rules import DEFAULT, Rules, says_yes
from specialist.core.errors import UserError
from specialist.core.patterns import found, problem

DATABASE = """CREATE TABLE orders (id TEXT, customer INTEGER, state TEXT);
INSERT INTO orders VALUES ('FD-1', 7, 'open'), ('FD-2', 7, 'open'), ('FD-3', 8, 'open');
CREATE TABLE handovers (id TEXT, topic TEXT);
"""
ORDER = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
OWN = "SELECT 1 FROM orders WHERE id = :id AND customer = :customer"
LOOK = {
    "name": "look",
    "description": "Look an order up.",
    "parameters": ORDER,
    "require": [{"sql": OWN, "otherwise": "not on the account"}],
    "returns": "SELECT state FROM orders WHERE id = :id",
}
CANCEL = {
    **LOOK,
    "name": "cancel",
    "confirm": True,
    "said": ["id"],
    "claims": [r"\b(is|been) cancelled"],
    "sql": "UPDATE orders SET state = 'cancelled' WHERE id = :id",
}
TOPIC = {"id": {"type": "string"}, "topic": {"type": "string"}}
HAND_OVER = {
    "name": "hand_over",
    "description": "Ask a person.",
    "parameters": {"type": "object", "properties": TOPIC, "required": ["id", "topic"]},
    "said": ["id"],
    "claims": ["passed .* on", "a person"],
    "fallback": {"arguments": {"id": "", "topic": "other"}, "answer": "A person will write."},
    "sql": "INSERT INTO handovers VALUES (:id, :topic)",
    "returns": "SELECT 'done' AS handed_over",
}
SHOP = [LOOK, CANCEL, HAND_OVER]
OPEN, CANCELLED = ({"id": "FD-1", "customer": 7, "state": s} for s in ("open", "cancelled"))
CHANGED = {"orders": {"removed": [OPEN], "added": [CANCELLED]}}
HANDED = {"handovers": {"removed": [], "added": [{"id": "", "topic": "other"}]}}


def say(text):
    return {"thought": "so", "answer": text}


def do(name, **arguments):
    return {"thought": "so", "call": name, "arguments": arguments}


TASK = {
    "id": "cancel-and-ask",
    "kind": "two",
    "session": {"customer": 7},
    "requests": [
        {
            "says": ["Please cancel my order.", "I do not want it any more."],
            "expect": {"database": CHANGED, "answer": ["cancelled"]},
            "replies": [
                {"hears": "which order", "says": ["It is FD-1.", "FD-1"]},
                {"hears": r"shall I.*\?", "says": "Yes, please.", "confirms": True},
            ],
            "solution": [
                say("Which order is it?"),
                do("look", id="FD-1"),
                say("Shall I cancel FD-1?"),
                do("cancel", id="FD-1"),
                say("The order FD-1 is cancelled."),
            ],
        },
        {
            "says": "And what about FD-2?",
            "expect": {"answer": ["open"]},
            "solution": [do("look", id="FD-2"), say("It is open.")],
        },
        {"says": "Thanks!", "solution": [say("You are welcome.")]},
    ],
    "customer": {
        "replies": [
            {"hears": "which order", "says": "I told you: FD-1.", "times": 9, "vain": True}
        ],
        "patience": 3,
    },
}


class Says(Policy):
    """A policy of chosen turns (steps, texts or `Turn`s), the last one again and again."""

    def __init__(self, *turns, count=None, room=None):
        self.turns, self.count, self.room, self.read = list(turns), count, room, []

    def begin(self, task, trial=0):
        pass

    def turn(self, messages):
        self.read.append(messages)
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        if isinstance(turn, dict):
            turn = (
                react.write_answer(turn["thought"], turn["answer"])
                if "answer" in turn
                else react.write_action(turn["thought"], turn["call"], turn["arguments"])
            )
        return turn if isinstance(turn, Turn) else Turn(turn)


@pytest.fixture
def play():
    """Function that runs a task with a policy, or with chosen turns."""

    def run(*turns, task=TASK, trial=0, tools=SHOP, **options):
        policy = turns[0] if isinstance(turns[0], Policy) else Says(*turns)
        with contextlib.closing(open_database(DATABASE)) as database:
            agent = Agent(policy, "system", tools, 8, **options)
            return agent.run(task, database, dump(database), trial)

    return run


def one(message, *more):
    """A task of messages, each a request."""
    requests = [{"says": text} for text in (message, *more)]
    return {"id": "a", "kind": "b", "session": {"customer": 7}, "requests": requests}


def test_a_conversation_is_recorded_exchange_by_exchange(play):
    trace = play(Scripted())
    assert [
        (e.request, e.source, e.confirms, e.message, e.reply, e.steps, e.ended)
        for e in trace.exchanges
    ] == [
        (0, "request", False, "Please cancel my order.", "Which order is it?", 1, "answer"),
        (0, "reply", False, "It is FD-1.", "Shall I cancel FD-1?", 2, "answer"),
        (0, "reply", True, "Yes, please.", "The order FD-1 is cancelled.", 2, "answer"),
        (1, "request", False, "And what about FD-2?", "It is open.", 2, "answer"),
        (2, "request", False, "Thanks!", "You are welcome.", 1, "answer"),
    ]
    assert [e.changes for e in trace.exchanges] == [{}, {}, CHANGED, CHANGED, CHANGED]
    assert (trace.changes, trace.answer, trace.ended) == (CHANGED, "You are welcome.", "answer")
    assert [s.exchange for s in trace.steps] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert [s.wrote for s in trace.steps] == [False] * 3 + [True] + [False] * 4
    assert {(s.by, s.valid, s.error) for s in trace.steps} == {("agent", True, None)}
    roles = ["user", "assistant", "user", "assistant", "tool", "assistant"]
    assert [m["role"] for m in trace.messages[:7]] == ["system", *roles]
    assert len(trace.times["steps"]) == len(trace.steps)
    row, times = map(json.loads, trace.lines())
    assert row["exchanges"][2]["changes"] == CHANGED and row["trial"] == times["trial"] == 0


def test_trials_have_other_wordings(play):
    said = [[e.message for e in play(Scripted(), trial=t).exchanges] for t in range(3)]
    assert said[0] == said[2]
    assert said[1][:2] == ["I do not want it any more.", "FD-1"]
    assert said[1][2:] == said[0][2:]


def test_one_message_is_a_conversation_of_one_exchange(play):
    task = {"id": "a", "kind": "b", "message": "Hi", "session": {}, "solution": [say("Hello.")]}
    trace = play(Scripted(), task=task)
    assert [(e.message, e.reply, e.request) for e in trace.exchanges] == [("Hi", "Hello.", 0)]


def test_the_customer_answers_by_rules_then_goes_on_then_leaves():
    customer = Customer(TASK)
    assert customer.opening() == Message("Please cancel my order.")
    assert customer.hear("WHICH ORDER do you mean?") == Message("It is FD-1.", 0, "reply")
    assert customer.hear("Which order?") == Message("I told you: FD-1.", 0, "vain")
    assert customer.hear("Shall I do it?") == Message("Yes, please.", 0, "reply", True)
    # Three answers are the customer's patience for one request.
    assert customer.hear("Which order?") == Message("And what about FD-2?", 1)
    assert customer.hear("Which order?") == Message("I told you: FD-1.", 1, "vain")
    assert customer.hear(None) == Message("Thanks!", 2)
    assert customer.hear("Shall I do it?") is None  # that rule is another request's


def test_a_rule_is_used_so_many_times(play):
    task = one("Hi")
    task["customer"] = {"replies": [{"hears": "", "says": "Hm.", "times": 3}], "patience": 9}
    assert [e.message for e in play(say("Well?"), task=task).exchanges] == ["Hi"] + 3 * ["Hm."]
    task["customer"]["replies"][0]["times"] = 99
    trace = play(say("Well?"), task=task)
    assert (len(trace.exchanges), trace.ended) == (10, "answer")
    trace = play(say("Well?"), task=task, max_messages=4)
    assert (len(trace.exchanges), trace.ended, trace.answer) == (4, "message_limit", "Well?")


def test_a_policy_that_repeats_its_first_procedure_does_not_listen(play):
    trace = play(Repeat())
    assert {e.reply for e in trace.exchanges} == {"Which order is it?"}
    sources = [e.source for e in trace.exchanges]
    vain = ["vain"] * 3
    assert sources == ["request", "reply", "vain", "vain", "request", *vain, "request", *vain]
    assert trace.changes == {}


def test_chance_differs_between_trials(play):
    first, again, other = (play(Random(SHOP, 1), trial=t).steps for t in (0, 0, 1))
    assert first == again != other


def test_a_script_needs_a_solution_of_each_request(play):
    task = {**TASK, "requests": [*TASK["requests"], {"says": "Bye"}]}
    with pytest.raises(UserError, match=r"task cancel-and-ask, requests\[3\]: found no `solution`"):
        play(Scripted(), task=task)


def test_generators_run_side_by_side_as_alone(play):
    """Several episodes take turns; each reads and does what it does alone."""
    alone = [play(Scripted(), trial=t) for t in (0, 1, 2)]
    policies, running, done = [Scripted() for _ in range(3)], {}, {}
    with contextlib.ExitStack() as opened:
        for t, policy in enumerate(policies):
            policy.begin(TASK, t)
            database = opened.enter_context(contextlib.closing(open_database(DATABASE)))
            agent = Agent(policy, "system", SHOP, 8)
            running[t] = agent.episode(TASK, t, database, dump(database))
        waiting = {t: next(turns) for t, turns in running.items()}
        while waiting:
            for t, messages in list(waiting.items()):
                try:
                    waiting[t] = running[t].send(policies[t].turn(messages))
                except StopIteration as end:
                    done[t] = end.value
                    del waiting[t]
    for t, trace in enumerate(alone):
        assert done[t].lines()[0] == trace.lines()[0]


def test_drive_passes_on_what_a_turn_raises(play):
    def broken(messages):
        raise StopIteration("not the generator's")

    def turns():
        yield []

    with pytest.raises(StopIteration, match="not the generator's"):
        drive(turns(), broken)


# What the model remembers.


def turn(role, content):
    return {"role": role, "content": content}


RECORD = [
    turn("system", "s"),
    turn("user", "u1"),
    turn("assistant", "call"),
    turn("tool", "result"),
    turn("assistant", "a1"),
    turn("user", "u2"),
    turn("assistant", "a2"),
    turn("user", "u3"),
    turn("assistant", "call3"),
    turn("tool", "result3"),
]
CURRENT = ["u3", "call3", "result3"]


def size(messages):
    return sum(len(message["content"]) for message in messages)


def contents(messages):
    return [message["content"] for message in messages]


def test_earlier_exchanges_are_condensed_and_the_current_one_is_whole():
    assert contents(remembered(RECORD)) == ["s", "u1", "a1", "u2", "a2", *CURRENT]
    assert remembered(RECORD[:4]) == RECORD[:4]
    assert remembered(RECORD[:1]) == RECORD[:1]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (23, ["s", "u1", "a1", "u2", "a2", *CURRENT]),
        (22, ["s", "u1", "...", "u2", "a2", *CURRENT]),
        (21, ["s", "u1", "...", "u2", "...", *CURRENT]),
        (20, ["s", "u2", "...", *CURRENT]),
        (17, ["s", *CURRENT]),
        (1, ["s", *CURRENT]),  # never the current exchange
    ],
)
def test_the_oldest_answers_go_first_then_the_oldest_messages(room, expected):
    def count(messages):
        return sum(1 if m["content"] == LEFT_OUT else len(m["content"]) for m in messages)

    found = contents(remembered(RECORD, count, room))
    assert found == [LEFT_OUT if text == "..." else text for text in expected]


def test_the_work_depends_on_what_fits():
    """A conversation of 20,000 exchanges is never counted as a whole."""
    record = [turn("system", "s")]
    for number in range(20_000):
        record += [turn("user", f"message {number:05}"), turn("assistant", f"answer {number:05}")]
    record.append(turn("user", "now"))
    counted = []

    def count(messages):
        counted.append(len(messages))
        return size(messages)

    kept = remembered(record, count, 600)
    assert kept[-1]["content"] == "now" and kept[-2]["content"] == LEFT_OUT
    assert [m["role"] for m in kept[1:]] == ["user", "assistant"] * 14 + ["user"]
    assert 560 <= size(kept) <= 600
    assert max(counted) < 100 and len(counted) < 20


ANSWER = react.write_answer("so", "A" * 40)


def test_the_model_reads_no_more_than_its_room(play):
    policy = Says(say("A" * 40), count=size, room=150)
    trace = play(policy, task=one("First message.", "Second message.", "Third message."))
    assert len(trace.messages) == 7  # the record has all of it
    assert contents(policy.read[1])[1:] == [
        "First message.", ANSWER, "Second message."
    ]  # fmt: skip
    assert contents(policy.read[2])[1:] == [
        "First message.", LEFT_OUT, "Second message.", ANSWER, "Third message."
    ]  # fmt: skip


# The rules of the tools.


def replies(trace):
    return [(e.reply, e.rule, e.ended) for e in trace.exchanges]


DONE = say("FD-1 is cancelled.")
ASKS = say("Shall I cancel FD-1?")


@pytest.mark.parametrize(
    ("messages", "turns", "error"),
    [
        (["Cancel FD-1"], [], "ask the customer to confirm first"),
        (["Cancel FD-1", "Yes."], [say("Well.")], "ask the customer to confirm first"),
        (["Cancel FD-1", "No!"], [ASKS], "ask the customer to confirm first"),
        (["Cancel FD-1", "Yes."], [ASKS], None),
        (["Cancel it", "Yes."], [ASKS], "the customer did not mention FD-1"),
        (["Cancel it", "Yes, FD-10."], [ASKS], "the customer did not mention FD-1"),
        (["Cancel it", "Yes, fd-1."], [ASKS], None),
    ],
)
def test_a_call_needs_a_yes_and_what_the_customer_said(play, messages, turns, error):
    trace = play(*turns, do("cancel", id="FD-1"), say("So."), task=one(*messages))
    call = next(step for step in trace.steps if step.call)
    assert (call.error, call.valid, call.wrote) == (error, True, error is None)
    assert trace.changes == ({} if error else CHANGED)
    if error:
        assert json.loads(call.observation) == {"error": error}
    trace = play(*turns, do("cancel", id="FD-1"), say("So."), task=one(*messages), rules=False)
    assert trace.changes == CHANGED


def test_a_yes_of_another_language(play):
    tools = [{**CANCEL, "confirm": {"yes": "^(ja|gern)"}}]
    for text, changes in (("Ja, bitte FD-1", CHANGED), ("Yes, FD-1", {})):
        turns = say("Soll ich?"), do("cancel", id="FD-1"), say("So.")
        assert play(*turns, task=one("Hallo", text), tools=tools).changes == changes


@pytest.mark.parametrize(
    "text",
    [
        "Yes", "yes, please", "Ok.", "Sure, go ahead!", "Please do.", "Of course", "Yes, do",
        "Yeah, cancel it", "That's right", "Yes, I don't want it any more.",
        "I want you to go ahead, thank you", "Fine, if there is no other way, yes.",
        "Be my guest.", "Alright then.", "You'd better.",
    ],
)  # fmt: skip
def test_what_says_yes(text):
    assert says_yes(text)


@pytest.mark.parametrize(
    "text",
    [
        "No", "no thanks", "Yes, but wait until tomorrow", "Don't do it", "Never mind", "Thanks!",
        "Where is my order?", "Do not go ahead.", "I would rather keep it", "Okay, hold on", "",
        "Absolutely not.", "Certainly not at that price!", "Please do nothing.",
        "Okay, in that case let's leave things as they are.", "Yeah, no.", "ok no then",
        "Right, then I'd sooner keep everything as it is.", "Sure, I will stay with it.",
    ],
)  # fmt: skip
def test_what_does_not_say_yes(text):
    assert not says_yes(text)


def test_a_false_claim_is_replaced_and_handed_over_once(play):
    task = one("Cancel FD-1", "Really?")
    trace = play(DONE, task=task)
    assert replies(trace) == 2 * [("A person will write.", "claim", "answer")]
    assert [e.said for e in trace.exchanges] == 2 * ["FD-1 is cancelled."]
    assert trace.changes == trace.exchanges[0].changes == HANDED
    assert [(s.by, s.call, s.exchange) for s in trace.steps] == [
        ("agent", None, 0), ("rule", "hand_over", 0), ("rule", None, 0),
        ("agent", None, 1), ("rule", None, 1),
    ]  # fmt: skip
    assert trace.steps[1].wrote
    assert len(trace.times["steps"]) == len(trace.steps) == trace.exchanges[0].steps + 2
    # The model reads what the customer read.
    assert react.answer(remembered(trace.messages)[2]["content"]) == "A person will write."
    trace = play(DONE, task=task, rules=False)
    assert replies(trace) == 2 * [("FD-1 is cancelled.", None, "answer")]


def test_a_true_claim_stands(play):
    task = one("Cancel FD-1", "Yes", "Sure?")
    turns = ASKS, do("cancel", id="FD-1"), DONE
    assert [e.rule for e in play(*turns, task=task).exchanges] == [None, None, None]
    both = say("FD-1 is cancelled. I passed it on.")  # the second one is false
    assert play(*turns[:2], both, task=task).exchanges[1].rule == "claim"


def test_a_refused_call_is_no_ground_for_a_claim(play):
    trace = play(do("cancel", id="FD-1"), DONE, task=one("Cancel FD-1"))
    assert trace.exchanges[0].rule == "claim"
    # A tool with a matching claim is enough, whichever it is.
    other = {**CANCEL, "name": "stop", "confirm": False}
    tools = [CANCEL, {key: other[key] for key in other if key != "confirm"}]
    trace = play(do("stop", id="FD-1"), DONE, task=one("Cancel FD-1"), tools=tools)
    assert trace.exchanges[0].rule is None


@pytest.mark.parametrize(
    ("turn", "ended"),
    [
        ("nonsense", "malformed_turn"),
        (Turn("Thought: x", "token_limit"), "token_limit"),
        (Turn("", "context_overflow"), "context_overflow"),
        (do("look", id="FD-1"), "loop"),
    ],
)
def test_silence_becomes_a_hand_over(play, turn, ended):
    task = one("Hi", "Hello?")
    trace = play(turn, task=task)
    assert replies(trace) == 2 * [("A person will write.", ended, ended)]
    assert trace.changes == HANDED
    silent = play(turn, task=task, rules=False)
    assert replies(silent) == 2 * [(None, None, ended)]
    assert (silent.answer, silent.changes) == (None, {})
    # Without a fallback, or when its guard refuses, nothing is claimed.
    assert replies(play(turn, task=task, tools=[LOOK])) == 2 * [(DEFAULT, ended, ended)]
    guarded = {**HAND_OVER, "require": [{"sql": "SELECT 1 WHERE :id <> ''", "otherwise": "no"}]}
    trace = play(turn, task=task, tools=[LOOK, guarded])
    assert replies(trace) == 2 * [(DEFAULT, ended, ended)] and trace.changes == {}


def test_the_step_limit_hands_over(play):
    turns = [do("look", id=f"FD-{number}") for number in range(9)]
    trace = play(*turns, task=one("Hi"))
    assert replies(trace) == [("A person will write.", "step_limit", "step_limit")]


def test_an_empty_value_names_nothing(play):
    trace = play(do("hand_over", id="", topic="x"), say("I passed it on."), task=one("Hi"))
    assert replies(trace) == [("I passed it on.", None, "answer")]


def test_numbers_are_said_as_words():
    rules = Rules([{"name": "pay", "said": ["amount"], "parameters": {}}])
    for text, expected in (("I paid 5", None), ("I paid 15.5", "the customer did not mention 5")):
        assert rules.refusal("pay", {"amount": 5}, [turn("user", text)]) == expected


def test_patterns_take_linear_time():
    begin = time.perf_counter()
    assert not found("(a+)+$", "a" * 50_000 + "!")
    assert time.perf_counter() - begin < 2
    assert found("straße", "Die STRASSE, die Straße") and not found("x", "\ud800")
    assert problem("(a+)+$") is None
    assert "look-around" in problem("(?<!a)b") and "missing )" in problem("(")


def test_only_conversations_are_tried_again(tmp_path, resources):
    single = {"id": "hi", "kind": "b", "message": "Hi", "session": {}, "solution": [say("Hello.")]}
    paths = {name: tmp_path / name for name in ("tasks", "tools", "database", "traces", "times")}
    paths["tasks"].write_text("".join(json.dumps(task) + "\n" for task in (TASK, single)))
    paths["tools"].write_text(json.dumps(SHOP))
    paths["database"].write_text(DATABASE)
    nothing = {
        name: [] for name in ("gguf", "store", "settings", "encoder", "shift", "words", "reranker")
    }
    limits = {"max_steps": 8, "max_messages": 12, "context": 512, "max_new_tokens": 64, "top_k": 1}
    run_agent(
        **paths, **nothing, **limits, prompt=resources / "prompts/react.jinja",
        policy="scripted", rules=True, trials=3, sample=None, customer=None, parallel=8,
        search=None, seed=1, threads=1,
    )  # fmt: skip
    for name in ("traces", "times"):
        rows = map(json.loads, paths[name].read_text().splitlines())
        assert [(row["id"], row["trial"]) for row in rows] == [
            ("cancel-and-ask", 0), ("hi", 0), ("cancel-and-ask", 1), ("cancel-and-ask", 2)
        ]  # fmt: skip
