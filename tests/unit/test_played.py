"""A customer played by a language model, here a stand-in that speaks HTTP; see test_serving.py."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from specialist.agent.customer import Message
from specialist.agent.played import Played
from specialist.core import completions
from specialist.core.errors import UserError

TASK = {
    "id": "late",
    "requests": [
        {
            "says": ["Where is my food?", "My food is late."],
            "replies": [{"hears": "order", "says": "It is FD-1."}],
        },
        {"says": "Cancel it.", "goal": "You want to cancel the order FD-1."},
    ],
    "customer": {"patience": 2},
}


@contextlib.contextmanager
def model(*answers):
    """(address, requests so far) of a server that gives these answers, texts or (status, body)."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            answer = left.pop(0)
            message = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
            status, data = answer if isinstance(answer, tuple) else (200, json.dumps(message))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        finally:
            server.shutdown()
            thread.join()


def test_it_plays_each_request_in_its_own_words(monkeypatch):
    monkeypatch.setenv("CUSTOMER_API_KEY", "secret")
    answers = ["I am hungry!", "FD-1", "Yes, please.", "Well, cancel FD-1 then.", "DONE."]
    with model(*answers) as (url, asked):
        customer = Played(TASK, 1, url=url, model="m")
        assert customer.opening() == Message("I am hungry!")
        assert customer.hear("Which order?") == Message("FD-1", 0, "reply")
        assert customer.hear("Shall I look?") == Message("Yes, please.", 0, "reply", True)
        # It has no patience left, so the next request is asked for.
        assert customer.hear(None) == Message("Well, cancel FD-1 then.", 1)
        assert customer.hear("Done.") is None
    path, key, body = asked[-1]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"], body["seed"]) == ("m", 0, 1)
    assert [m["role"] for m in body["messages"]] == 4 * ["user", "assistant"] + ["user"]
    first, *heard = [m["content"] for m in body["messages"] if m["role"] == "user"]
    assert (
        "what you want: My food is late.\nIf you are asked, you may say this: It is FD-1." in first
    )
    assert heard[0] == "The support answers: Which order?"
    assert heard[2].startswith("The support does not answer.\n\nNow you want something else. You w")
    assert "want to cancel the order FD-1." in heard[2] and "Cancel it." not in heard[2]


def test_a_model_without_words_opens_with_those_of_the_task():
    with model("DONE", "  ", "x" * 5000, "") as (url, _):
        customer = Played(TASK, url=url, model="m")
        assert customer.opening().text == "Where is my food?"
        assert customer.hear("Here.") == Message("x" * 1000, 1)
        assert customer.hear("And?") is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, '{"error": "no such model"}'), "404: Not Found {\"error\": "),
        ((200, "<html>"), "found no chat completion (JSONDecodeError"),
        ((200, '{"choices": []}'), "found no chat completion (IndexError"),
        ((200, '{"choices": [{"message": {"content": null}}]}'), "(TypeError('content is None')"),
    ],
)  # fmt: skip
def test_what_is_no_completion_is_reported(answer, why):
    with model(answer) as (url, _), pytest.raises(UserError) as refused:
        Played(TASK, url=url, model="m").opening()
    assert str(refused.value).startswith(f"agent.customer: {url}: ") and why in str(refused.value)


def test_it_tries_again_and_then_gives_up(monkeypatch):
    monkeypatch.setattr(completions, "WAIT", 0.01)
    busy = (429, "busy")
    with model(busy, (503, ""), "Hello") as (url, asked):
        assert Played(TASK, url=url, model="m").opening().text == "Hello"
        assert len(asked) == 3
    with model(busy, busy, busy) as (url, _), pytest.raises(UserError, match="429: .* busy; start"):
        Played(TASK, url=url, model="m").opening()
    with pytest.raises(UserError, match="refused>; start the server"):
        Played(TASK, url=url, model="m").opening()
