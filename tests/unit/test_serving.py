"""The server, asked by OpenAI's own client and by clients that do it wrong."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import tiny_release
from specialist.core.errors import UserError
from specialist.release.conversations import Conversations
from tiny_server import served, wait

ASK = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def address(release):
    """Where a server of its own process is to be asked."""
    process = subprocess.Popen(
        [sys.executable, release / "serve.py", "--port", "0"],
        cwd=release.parent,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
            # Read on, so that the server never waits for this test.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            break
    else:
        pytest.fail(f"the server did not start:\n{said}")
    yield found[1]
    process.terminate()
    process.wait()


@pytest.fixture
def client(address):
    import openai

    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def ask(client, messages=ASK, **more):
    return client.chat.completions.create(model=tiny_release.NAME, messages=messages, **more)


def test_models(client):
    assert [model.id for model in client.models.list()] == [tiny_release.NAME]


def test_completion(client):
    found = ask(client, temperature=0)
    assert found.choices[0].message.content == tiny_release.ANSWER
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.usage.completion_tokens > 20


def test_limit_and_stop_are_honoured(client):
    whole = ask(client).usage.completion_tokens
    for more in ({}, {"stream": True, "stream_options": {"include_usage": True}}):
        cut = ask(client, max_tokens=whole - 6, **more)
        chunks = list(cut) if more else [cut]
        assert chunks[-1].usage.completion_tokens == whole - 6
        text, reason = said(chunks)
        assert reason == "length" and text and tiny_release.ANSWER.startswith(text)
        stopped = ask(client, stop=["never", " is "], **more)
        assert said(list(stopped) if more else [stopped]) == ("Order FD-12", "stop")
    assert said([ask(client, max_tokens=1)]) == ("", "length")


def said(chunks):
    """(text, finish_reason) of a completion or of the chunks of one."""
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    parts = [getattr(c, "delta", None) or c.message for c in choices]
    return "".join(part.content or "" for part in parts), choices[-1].finish_reason


def test_stream(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(parts) == tiny_release.ANSWER
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 20


def test_conversation(client):
    parts = [{"type": "text", "text": "Is it?"}]
    messages = [
        *ASK,
        {"role": "assistant", "content": "Yes,\n\nit is."},
        {"role": "user", "content": parts},
    ]
    assert ask(client, messages).choices[0].message.content == tiny_release.ANSWER


def test_refusals_of_the_client(client):
    import openai

    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, [{"role": "user", "content": "word " * 600}])
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="expected at most 448"):
        ask(client, [{"role": "user", "content": "word " * 600}], stream=True)
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-4", messages=ASK)
    assert refused.value.code == "model_not_found"
    for messages, more in (
        ([], {}),
        ([{"role": "tool", "content": "x", "tool_call_id": "1"}], {}),
        ([{"role": "assistant", "content": "x"}], {}),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], {}),
        (ASK, {"temperature": 0.5}),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, messages, **more)
        assert refused.value.param and refused.value.type == "invalid_request_error"


JSON = {"Content-Type": "application/json"}
EVIL, HOME = "https://evil.example", "http://home"
TWO_ORIGINS, TEXT = [("Origin", HOME), ("Origin", EVIL)], ("Content-Type", "text/plain")


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("POST", "/v1/chat/completions", JSON, b"{", 400),
        ("POST", "/v1/chat/completions", JSON, b" " * 1_000_001, 413),
        ("GET", "/v1/chat/completions", {}, b"", 405),
        ("POST", "/v1/embeddings", JSON, b"{}", 404),
        ("POST", "/v1/chat/completions", {}, b"{}", 415),
        ("POST", "/v1/chat/completions", {"Content-Type": "text/plain"}, b"{}", 415),
        ("POST", "/v1/chat/completions", JSON | {"Origin": EVIL}, b"{}", 403),
        ("POST", "/v1/chat/completions", JSON | {"Origin": "null"}, b"{}", 403),
        ("POST", "/v1/chat/completions", JSON | {"Sec-Fetch-Site": "cross-site"}, b"{}", 403),
        ("POST", "/v1/chat/completions", [*JSON.items(), *TWO_ORIGINS], b"{}", 403),
        ("POST", "/v1/chat/completions", [*JSON.items(), TEXT], b"{}", 415),
        ("GET", "/v1/models", {"Origin": EVIL}, b"", 403),
        ("GET", "/v1/models", {"Host": "evil.example"}, b"", 400),
        ("GET", "/v1/models", {"Host": "127.0.0.1.evil.example:80"}, b"", 400),
        ("GET", "/v1/models", {"Host": "[::1"}, b"", 400),
        ("POST", "/page/ask", JSON | {"Origin": EVIL}, b"{}", 403),
        ("POST", "/page/ask", JSON | {"Sec-Fetch-Site": "same-site"}, b"{}", 403),
        ("POST", "/page/ask", {"Content-Type": "text/plain"}, b"{}", 415),
        ("POST", "/page/ask", JSON, b"{}", 400),
        ("GET", "/page/ask", {}, b"", 404),
        ("GET", "/page/about", {"Sec-Fetch-Site": "cross-site"}, b"", 403),
        ("GET", "/page/model.gguf", {}, b"", 404),
        ("GET", "/page/..%2frelease.json", {}, b"", 404),
        ("GET", "/", {"Host": "evil.example"}, b"", 400),
        ("GET", "/", {"Sec-Fetch-Site": "none"}, b"", 200),
        ("GET", "/v1/models", {"Host": "localhost:8000"}, b"", 200),
        ("GET", "/v1/models", {"Host": "LOCALHOST", "Sec-Fetch-Site": "none"}, b"", 200),
    ],
)  # fmt: skip
def test_requests_that_no_client_sends(address, method, path, headers, content, status):
    import httpx

    if isinstance(headers, list):  # one that is given twice
        headers = [(name, value.replace(HOME, address)) for name, value in headers]
    found = httpx.request(method, address + path, headers=headers, content=content)
    assert found.status_code == status
    if status != 200:
        assert found.json()["error"].keys() == {"message", "type", "param", "code"}
        assert found.headers["connection"] == "close"


def connect(port, data):
    """A connection that has sent something."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=20)
    opened.sendall(data)
    return opened


def request(body):
    """A request's bytes."""
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def state(server):
    """The changes of the conversations that the server remembers, when nothing is at work."""
    wait(lambda: not server.here)

    def changes():
        states = server.conversations.states.values()
        return [state.conversation.changes() for state in states]

    return server.thread.submit(changes).result()


ROW = {"id": tiny_release.ORDER, "customer": 7, "state": "open"}
CANCELLED = {"orders": {"removed": [ROW], "added": [ROW | {"state": "cancelled"}]}}


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_begun_is_kept_when_the_client_leaves(release, stream, caplog):
    """The same for a streamed answer: the tool has acted, and its change stays."""
    with served(release) as (port, server):
        acted, left = threading.Event(), threading.Event()

        def pause(_):
            acted.set()
            left.wait(20)

        server.specialist.agent.acted = pause
        client = connect(port, request({"messages": ASK, "stream": stream}))
        assert acted.wait(20)
        client.close()
        wait(lambda: not server.open)
        left.set()
        assert state(server) == [CANCELLED]
        assert not server.here
    assert "Traceback" not in caplog.text


def test_what_waits_is_dropped_when_the_client_leaves(release, caplog):
    with served(release) as (port, server):
        busy = threading.Event()
        server.thread.submit(busy.wait)
        for stream in (False, True):
            client = connect(port, request({"messages": ASK, "stream": stream}))
            wait(lambda number=stream + 1: server.here == number)
            client.close()
            wait(lambda: not server.open)
        time.sleep(0.1)  # the handlers notice it
        busy.set()
        assert state(server) == []
    assert "Traceback" not in caplog.text


def test_slow_and_countless_connections(release, caplog):
    """Half a head, half a body, and a head that drips: each is closed, and others are served."""
    import httpx

    half_body = request({"messages": ASK})[:-5]
    with served(release, ARRIVAL_SECONDS=0.6, CONNECTIONS=40) as (port, server):
        opened = [connect(port, (b"POST / HTT", half_body, b"")[n % 3]) for n in range(39)]
        wait(lambda: len(server.open) == 39)
        body = {"messages": ASK}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        assert httpx.post(url, json=body, timeout=20).status_code == 200
        opened += [connect(port, b"") for _ in range(100)]
        assert len(server.open) <= 41
        for _ in range(4):
            with contextlib.suppress(OSError):
                opened[0].sendall(b"P")
            time.sleep(0.2)
        wait(lambda: not server.open, 5)
        first, second = (opened[number].recv(1000) for number in (1, 2))
        assert b" 408 " in first and b"did not arrive" in first and second == b""
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 200
        for one in opened:
            one.close()
    assert "Traceback" not in caplog.text


def test_client_that_leaves_in_its_body_leaves_no_traceback(release, caplog):
    with served(release) as (port, server):
        connect(port, request({"messages": ASK})[:-5]).close()
        wait(lambda: not server.open)
    assert "Traceback" not in caplog.text


def test_requests_wait_and_too_many_are_told(release):
    import httpx

    from specialist.release.serving import Server, application

    server, busy = Server(release, parallel=1, waiting=1), threading.Event()
    server.thread.submit(busy.wait)

    async def crowd():
        transport = httpx.ASGITransport(application(server, ["test"]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            requests = [
                asyncio.create_task(http.post("/v1/chat/completions", json={"messages": ASK}))
                for _ in range(3)
            ]
            done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
            first = done.pop().result()
            busy.set()
            return first, [(await task).status_code for task in requests]

    try:
        first, statuses = asyncio.run(crowd())
    finally:
        busy.set()
        server.close()
    assert first.status_code == 429 and first.json()["error"]["type"] == "rate_limit_error"
    assert int(first.headers["retry-after"]) >= 1
    assert statuses == [200, 200, 429]


def test_answer_that_failed_in_its_middle_is_told_in_the_stream(release):
    """The status is sent by then; clients read the error from the events."""
    import httpx

    from specialist.release.serving import Server, application

    server = Server(release)

    def broken(work):
        work.put("part", "Or")
        work.put("failed", RuntimeError("llama_decode failed"))
        return
        yield

    server.answer = broken

    async def asked():
        transport = httpx.ASGITransport(application(server, ["test"]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            body = {"messages": ASK, "stream": True}
            return (await http.post("/v1/chat/completions", json=body)).text

    try:
        events = [line[6:] for line in asyncio.run(asked()).splitlines() if line]
    finally:
        server.close()
    assert json.loads(events[-1])["error"]["type"] == "server_error"


def user(text):
    return {"role": "user", "content": text}


def talk(port, texts, **more):
    """The replies to a client's messages, one after the other, and the last response."""
    import openai

    messages, found = [], []
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
        for text in texts:
            messages.append(user(text))
            reply = ask(client, messages, **more)
            found.append(reply.choices[0].message.content)
            messages.append({"role": "assistant", "content": found[-1]})
    return found


def newest(server):
    """The record of the conversation that the server used last."""
    states = server.conversations.states
    return server.thread.submit(lambda: list(states.values())[-1].conversation.trace).result()


def test_a_conversation_is_that_of_the_evaluation(release):
    """The same task, played by the loop of the evaluation and by a client: the same actions."""
    from specialist.agent.environment import dump, open_database
    from specialist.agent.loop import Agent
    from specialist.agent.policies import Model
    from specialist.gguf.runtime import Runtime

    texts = [f"Cancel {tiny_release.ORDER}!", "Where is my order?", "Is it?", "Hi"]
    requests = [{"says": text} for text in texts]
    task = {"id": "a", "kind": "b", "session": {"customer": 7}, "requests": requests}
    limits, tools = tiny_release.SETTINGS, [tiny_release.CANCEL]
    with (
        served(release) as (port, server),
        Runtime(release / "model.gguf", limits["context"]) as runtime,
    ):
        system = server.specialist.system
        model = Model.with_tools(runtime, system, tools, limits["max_new_tokens"])
        database = open_database(tiny_release.DATABASE)
        expected = Agent(model, system, tools, limits["max_steps"]).run(
            task, database, dump(database)
        )
        database.close()
        assert talk(port, texts) == [exchange.reply for exchange in expected.exchanges]
        found = newest(server)
    assert [e.ended for e in expected.exchanges] == 4 * ["answer"]
    assert found.exchanges == [replace(e, request=0) for e in expected.exchanges]

    def actions(trace):
        return [(s.thought, s.call, s.arguments, s.error, s.wrote, s.exchange) for s in trace.steps]

    assert actions(found) == actions(expected) and len(found.steps) >= 6
    assert found.changes == expected.changes == CANCELLED


def test_each_conversation_has_its_own_database(release):
    """A second client finds the order open, whatever the first one did; so does a repetition."""
    with served(release) as (port, server):
        talk(port, ["Hi", "Is it?"])
        assert len(server.conversations.states) == 2
        talk(port, ["Cancel FD-12!"])
        assert newest(server).changes == CANCELLED and newest(server).steps[0].wrote
        begin = [(state.heads, len(state.conversation.trace.exchanges))
                 for state in server.conversations.states.values()]  # fmt: skip
        assert begin == [(0, 1), (1, 2), (1, 1)]
        # The same request again works on the state before it.
        talk(port, ["Hi", "Is it?"])
        assert len(server.conversations.states) == 3
        assert state(server) == 3 * [CANCELLED]


def test_clients_choose_sessions_where_they_may(release):
    import openai

    other = {"metadata": {"customer": "8"}}
    with served(release) as (port, server):
        talk(port, ["Hi"], **other)
        assert state(server) == [CANCELLED]  # a label, nothing more
    with served(release, {"choose_session": True}) as (port, server):
        talk(port, ["Hi"], **other)
        talk(port, ["Hi"])
        assert state(server) == [{}, CANCELLED]
        with pytest.raises(openai.BadRequestError, match="session customer: found 'x', expected a"):
            talk(port, ["Hi"], metadata={"customer": "x"})


def test_without_rules_an_answer_is_sent_as_it_is_written(moved):
    import openai

    settings = json.loads((moved / "release.json").read_text())
    (moved / "release.json").write_text(json.dumps(settings | {"rules": False}))
    url = "http://127.0.0.1:{}/v1"
    with (
        served(moved) as (port, _),
        openai.OpenAI(base_url=url.format(port), api_key="none") as client,
    ):
        parts = [chunk.choices[0].delta.content or "" for chunk in ask(client, stream=True)]
    assert "".join(parts) == tiny_release.ANSWER and len([part for part in parts if part]) > 3


class Thing:
    """Stands for a conversation: the store only closes it."""

    open = True

    def close(self):
        self.open = False


def test_so_many_conversations_are_remembered_for_so_long():
    now = [0.0]
    store = Conversations(2, 100, lambda: now[0])
    hello, more = [("Hi", "Hello")], [("Hi", "Hello"), ("And?", "Well.")]
    first, second = Thing(), Thing()
    store.keep({}, hello, first)

    def find(*wanted):
        with store.find(*wanted) as found:
            return found

    assert find({}, [(" Hi\n", "Hello ")]) is first
    assert find({"customer": "8"}, hello) is None and find({}, more) is None
    now[0] = 90
    assert find({}, hello) is first
    store.keep({}, more, second)
    others = [Thing() for _ in range(2)]
    for number, thing in enumerate(others):
        store.keep({}, [("Hi", str(number))], thing)
    # Three clients: the least recently used one is forgotten, not the state that it left behind.
    assert [first.open, second.open, *(thing.open for thing in others)] == [True, False, True, True]
    now[0] = 191
    store.forget()
    assert not store.states and not first.open
    store.keep({}, hello, third := Thing())
    store.keep({}, hello, fourth := Thing())  # two clients have said the same
    assert not third.open and store.states.popitem()[1].heads == 2
    store.keep({}, hello, fourth)
    with store.find({}, hello) as found:
        store.close()
        assert found is fourth and fourth.open  # a request works on it
    assert not fourth.open and find({}, hello) is None


def test_old_conversations_are_forgotten_without_a_request(release):
    with served(release, {"seconds": 0.2}) as (port, server):
        talk(port, ["Hi"])
        wait(lambda: not server.conversations.states)


def test_the_project_plays_its_own_customers(release, monkeypatch):
    """A customer played by a language model, which is this project's own server."""
    from specialist.agent import played

    monkeypatch.setattr(played, "INSTRUCTIONS", "{goal}")
    requests = [{"says": "Hi"}, {"says": "Is it?", "goal": "Hi"}]
    task = {"id": "a", "requests": requests, "customer": {"patience": 1}}
    with served(release) as (port, _):
        url = f"http://127.0.0.1:{port}/v1"
        customer = played.Played(task, url=url, model=tiny_release.NAME)
        message, found = customer.opening(), []
        while message:
            assert message.text
            found.append((message.request, message.source))
            message = customer.hear("Well?")
        with pytest.raises(UserError, match="404: .*expected shop-tiny"):
            played.Played(task, url=url, model="other").opening()
    assert found == [(n, source) for n in (0, 1) for source in ("request", "reply")]
