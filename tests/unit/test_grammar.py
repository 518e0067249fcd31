"""The grammar takes what the protocol writes, refuses other forms, and quotes the customer."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specialist.agent import react
from specialist.agent.environment import SEARCH
from specialist.agent.facts import holds
from specialist.agent.grammar import MOST, TurnGrammar, turn_grammar
from specialist.data.simulation import Spec, tasks

RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
GENERAL = {
    "name": "book",
    "parameters": {
        "type": "object",
        "properties": {
            "who": {"type": "string", "maxLength": 2, "pattern": "^x$", "enum": ["x"]},
            "price": {"type": "number", "minimum": 5},
            "urgent": {"type": "boolean"},
            "seats": {"type": "array", "items": {"type": "integer", "enum": [1]}},
            "note": {"type": ["string", "null"]},
            "where": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
        "required": ["who", "price"],
    },
}


@pytest.fixture(scope="module")
def grammar(tools):
    return turn_grammar([SEARCH, *tools])


def accepts(runtime, grammar, text):
    """Whether llama.cpp could have generated the text, and ended there."""
    lib, sampler = runtime._lib, runtime._grammar(grammar)
    logits = np.zeros(runtime.vocabulary, np.float32)
    try:
        for token in [*runtime.tokenize(text, special=False), runtime.eos]:
            if np.isinf(runtime._constrained(sampler, logits, [token])[0]):
                return False
            if token != runtime.eos:
                lib.llama_sampler_accept(sampler, token)
        return True
    finally:
        lib.llama_sampler_free(sampler)


def test_every_step_of_the_oracle_is_accepted(runtime, grammar, resources):
    found, _ = tasks(Spec(resources / "datasets/food-delivery"), 130, 0, 1)
    called = set()
    for step in (step for task in found for step in task["solution"]):
        if "answer" in step:
            text = react.write_answer(step["thought"], step["answer"])
        else:
            text = react.write_action(step["thought"], step["call"], step["arguments"])
            called.add(step["call"])
        assert accepts(runtime, grammar, text), text
    assert len(called) >= 10


LINE = st.text(st.characters(codec="utf-8", min_codepoint=0x20), min_size=1, max_size=20)
STRING = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20) | st.sampled_from('\n\r\t"\\'), max_size=20
)


@RELAXED
@given(thought=LINE, order=STRING, percent=st.integers(-(10**15), 10**15))
def test_any_values_of_the_right_types_are_accepted(runtime, grammar, thought, order, percent):
    arguments = {"order_id": order, "percent": percent}
    text = react.write_action(thought, "give_refund", arguments)
    assert accepts(runtime, grammar, text)
    assert react.parse(text)["arguments"] == arguments


@RELAXED
@given(thought=LINE, answer=LINE)
def test_any_line_is_an_answer(runtime, grammar, thought, answer):
    assert accepts(runtime, grammar, react.write_answer(thought, answer))


GOOD = 'Thought: x\nAction: {"name": "find_order", "arguments": {"order_id": "A1"}}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Thought: ", ""),
        ("Thought: x\n", ""),
        ("Thought: x", "Thought: "),
        ("\n", "\n\n"),
        ("\n", " "),
        ("Action", "Act"),
        ("find_order", "find_orders"),
        ("find_order", "drop_table"),
        ('"name": ', '"name":'),
        ('"name": ', '"name" : '),
        ('", "arguments', '","arguments'),
        ('{"name"', '{ "name"'),
        ("}}", "} }"),
        ("}}", "}"),
        ("}}", "}} "),
        ("}}", "}}\nObservation: done"),
        ('"A1"', "17"),
        ('"A1"', '"A1", "percent": 3'),
        ('"order_id": "A1"', ""),
        ("order_id", "order"),
        ("A1", "A\n1"),
        ("A1", "\\ud800"),
        ('{"order_id": "A1"}', '"A1"'),
    ],
)
def test_other_forms_are_refused(runtime, grammar, old, new):
    assert accepts(runtime, grammar, GOOD)
    assert GOOD.replace(old, new) != GOOD
    assert not accepts(runtime, grammar, GOOD.replace(old, new))


@pytest.mark.parametrize("percent", ["2.5", '"20"', "true", "", "-", "007", "1" * 40])
def test_whole_numbers_are_whole_numbers(runtime, grammar, percent):
    call = '{"name": "give_refund", "arguments": {"order_id": "A1", "percent": %s}}'
    assert accepts(runtime, grammar, "Thought: x\nAction: " + call % "20")
    assert not accepts(runtime, grammar, "Thought: x\nAction: " + call % percent)


def test_types_of_json_schema_are_known_and_values_are_not(runtime):
    grammar = turn_grammar([GENERAL])
    full = {
        "who": "Ann",
        "price": 2.5,
        "urgent": True,
        "seats": [3, 4],
        "note": None,
        "where": {"a": "b"},
    }
    for arguments in (full, {"who": "Ann", "price": -1}, {**full, "seats": [], "where": {}}):
        assert accepts(runtime, grammar, react.write_action("x", "book", arguments))
    for wrong in ({"who": 1}, {"price": "2"}, {"urgent": 1}, {"seats": ["a"]}, {"note": 3}):
        assert not accepts(runtime, grammar, react.write_action("x", "book", full | wrong))


def test_without_tools_there_is_only_an_answer(runtime):
    grammar = turn_grammar([])
    assert accepts(runtime, grammar, react.write_answer("x", "y"))
    assert not accepts(runtime, grammar, GOOD)


def test_a_random_model_is_well_formed_under_it(runtime, grammar):
    ids = runtime.tokenize("<|im_start|>assistant\n")
    new = runtime.generate(ids, grammar, max_tokens=300)
    assert runtime.detokenize(new).startswith("Thought: ")


def test_a_tool_that_is_not_offered_cannot_be_called(runtime, tools):
    action = react.write_action("x", "search", {"query": "rules"})
    assert accepts(runtime, turn_grammar([SEARCH, *tools]), action)
    assert not accepts(runtime, turn_grammar(tools), action)


NOTE = {
    "name": "note",
    "parameters": {
        "type": "object",
        "properties": {
            "order": {"type": "string"},
            "dishes": {"type": "array", "items": {"type": "string"}},
            "count": {"type": "integer"},
            "text": {"type": "string"},
        },
        "required": ["order", "dishes", "count", "text"],
    },
    "said": ["order", "dishes", "count"],
}
SAID = [
    {"role": "system", "content": "Orders begin with XX99."},
    {"role": "user", "content": 'Cold soup\tin fd25423,\n5 of 12 Älm "Street". Really!'},
    {"role": "assistant", "content": "Thought: x\nAnswer: Was it YY88?"},
    {"role": "user", "content": "我要取消订单 7. C++, 1,500"},
]


def quoting(order, dishes=(), count=3, text="free"):
    return react.write_action(
        "x", "note", {"order": order, "dishes": list(dishes), "count": count, "text": text}
    )


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("fd25423", True),
        ("FD25423", True),
        ("Cold soup", True),
        ("cold soup in fd25423", True),
        ("12 Älm", True),
        ('Älm "Street".', True),
        ("取消", True),
        ("1,500", True),
        ("C++", True),
        ("", True),
        ("FD2542", False),
        ("fd25424", False),
        ("XX99", False),
        ("YY88", False),
        ("COLD soup", False),
        ("soup Cold", False),
        ("Really! 我要", False),
        ("1", False),
        ("500", False),
        ("C", False),
    ],
)
def test_what_must_be_said_is_a_quotation_of_the_customer(runtime, value, taken):
    grammar = TurnGrammar([NOTE])(SAID)
    assert accepts(runtime, grammar, quoting(value)) == taken
    assert accepts(runtime, grammar, quoting("soup", [value, "Cold"])) == taken
    assert accepts(runtime, grammar, quoting("soup", text=value + "!"))
    assert accepts(runtime, TurnGrammar([NOTE], quote=False)(SAID), quoting(value))


WORDS = st.text(
    st.sampled_from("aZ9é我") | st.sampled_from(' "\\\x07.,-+') | st.characters(codec="utf-8"),
    min_size=1,
    max_size=12,
)


@RELAXED
@given(text=WORDS, data=st.data())
def test_each_quotation_is_held_by_the_message(runtime, text, data):
    words = text.split() or [""]
    first = data.draw(st.integers(0, len(words) - 1))
    value = " ".join(words[first : data.draw(st.integers(first, len(words)))])
    grammar = TurnGrammar([NOTE])([{"role": "user", "content": text}])
    if accepts(runtime, grammar, quoting(value)):
        assert not any(map(str.isalnum, value)) or holds(text, value)
    elif value.isascii() and value.isalnum():
        assert not holds(text, value)


def test_very_long_conversations_leave_the_check_to_the_rules(runtime):
    messages = [{"role": "user", "content": "word " * count} for count in (MOST, 1)]
    assert not accepts(runtime, TurnGrammar([NOTE])(messages[:1]), quoting("other"))
    assert accepts(runtime, TurnGrammar([NOTE])(messages), quoting("other"))
