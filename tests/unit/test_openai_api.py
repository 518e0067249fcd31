"""What the server takes of OpenAI's chat completions, and what it refuses by name."""

import json

import pytest

from specialist.release.openai_api import parse
from specialist.release.parameters import LARGEST, Refused
from specialist.release.serving import before_stop

ASK = {"role": "user", "content": "Hi"}


def ask(*messages, **more):
    return parse(json.dumps({"messages": messages or [ASK], **more}).encode(), "shop")


def test_what_is_honoured():
    found = ask(
        model="shop", stream=True, stream_options={"include_usage": True}, max_tokens=9, stop="x",
        n=1, temperature=0.0, top_p=0.9, seed=3, logprobs=False, tools=[], tool_choice="auto",
        response_format={"type": "text"}, user="me", metadata={"a": "b"}, frequency_penalty=0,
    )  # fmt: skip
    assert (found.history, found.message, found.stream, found.usage) == ([], "Hi", True, True)
    assert (found.limit, found.stops) == (9, ("x",))
    assert ask(max_completion_tokens=5, max_tokens=9).limit == 5


def test_null_is_unset():
    names = ("stream_options", "stop", "tools", "max_tokens", "temperature", "model", "audio")
    found = ask(stream=True, **dict.fromkeys(names))
    assert (found.usage, found.stops, found.limit) == (False, (), None)
    assert not ask(stream_options={"include_usage": None}).usage


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 0.5}, {"temperature": True}, {"n": 2}, {"n": True}, {"logprobs": True},
        {"top_logprobs": 3}, {"logit_bias": {"5": 1}}, {"presence_penalty": 1}, {"store": True},
        {"tool_choice": "required"}, {"tool_choice": {"type": "function"}}, {"audio": {}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"functions": [{}]},
        {"response_format": {"type": "json_object"}}, {"reasoning_effort": "low"}, {"top_k": 5},
        {"max_tokens": 0}, {"max_tokens": "9"}, {"max_tokens": 1.5}, {"max_completion_tokens": -1},
        {"stop": ""}, {"stop": ["a"] * 5}, {"stop": [1]}, {"stop": {}}, {"seed": "x"},
        {"top_p": "x"}, {"stream": 1}, {"stream_options": "x"}, {"user": 3}, {"min_p": 0.1},
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_named(given):
    with pytest.raises(Refused) as refused:
        ask(**given)
    (name,) = given
    assert refused.value.status == 400 and refused.value.param == name
    assert str(refused.value).startswith(f"{name}: ")
    assert refused.value.body()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("message", "place", "words"),
    [
        ({"role": "system", "content": "x"}, "messages.0.role", "leave yours out"),
        ({"role": "tool", "content": "x"}, "messages.0.role", "calls its own tools"),
        ({"role": ["user"], "content": "x"}, "messages.0.role", "user or assistant"),
        ({"content": "x"}, "messages.0.role", "found null"),
        ({"role": "user"}, "messages.0.content", "found null"),
        ({"role": "user", "content": 5}, "messages.0.content", "found 5"),
        ({"role": "user", "content": {"a": 1}}, "messages.0.content", "text, or a list"),
        ({**ASK, "name": "Ann"}, "messages.0.name", "leave it out"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages.0.tool_calls", "leave it out"),
        ("Hi", "messages.0", "a message with role and content"),
    ],
)
def test_message_is_refused_by_name(message, place, words):
    with pytest.raises(Refused, match=words) as refused:
        ask(message, ASK)
    assert (refused.value.status, refused.value.param) == (400, place)


def test_images_are_not_read():
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    with pytest.raises(Refused, match="images are not read") as refused:
        ask({"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]})
    assert refused.value.param == "messages.0.content.1"


def test_conversation():
    empty = {"role": "assistant", "content": None, "refusal": None, "tool_calls": None}
    parts = [{"type": "text", "text": "Is"}, {"type": "text", "text": "it?"}]
    found = ask(
        {"role": "assistant", "content": "How can I help?"}, ASK, empty,
        {"role": "user", "content": "There"}, {"role": "assistant", "content": "Yes,\n\nit is."},
        {"role": "user", "content": parts},
    )  # fmt: skip
    assert found.message == "Is\nit?"
    assert found.history == [("Hi\nThere", "Yes,\n\nit is.")]


def test_a_session_is_chosen_only_where_the_server_allows_it():
    body = {"messages": [ASK], "metadata": {"customer": "8", "label": "x"}}
    data = json.dumps(body).encode()
    assert parse(data, "shop").session == {}
    assert parse(data, "shop", ["customer"]).session == {"customer": "8"}


@pytest.mark.parametrize(
    "data",
    [
        b'{"messages": [{"role": "user", "role": "user", "content": "Hi"}]}',
        b"{", b"\xff", b"[" * 100_000, b"[]", b"{}", b'{"messages": "Hi"}', b'{"messages": []}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "Hi"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "Hi"}], "temperature": 1e999}',
        b'{"messages": [{"role": "user", "content": " "}]}',
        b'{"messages": [{"role": "assistant", "content": "Hi"}]}',
    ],
)  # fmt: skip
def test_malformed_request_is_refused(data):
    with pytest.raises(Refused) as refused:
        parse(data, "shop")
    assert refused.value.status == 400 and len(str(refused.value)) < 300


def test_other_model_is_not_found():
    with pytest.raises(Refused, match="expected shop") as refused:
        ask(model="gpt-4")
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")


def test_work_grows_with_the_size_of_a_request_alone():
    """The largest request there can be is read in a moment."""
    import time

    many = [ASK] * (LARGEST // 40)
    begin = time.process_time()
    assert ask(*many).message.count("Hi") == len(many)
    assert len(ask(*[ASK, {"role": "assistant", "content": "x"}] * 10_000, ASK).history) == 10_000
    assert time.process_time() - begin < 3


@pytest.mark.parametrize(
    ("answer", "stops", "shown", "whole"),
    [
        ("It is late.", (), "It is late.", "It is late."),
        ("It is late.", ("is", "It is l"), "", ""),
        ("It is late.", ("late",), "It is ", "It is "),
        ("It is la", ("late",), "It is ", "It is la"),
        ("ab", ("bcd", "abx"), "", "ab"),
    ],
)
def test_answer_ends_before_a_stop(answer, stops, shown, whole):
    assert before_stop(answer, stops) == shown
    assert before_stop(answer, stops, whole=True) == whole
