"""The server, asked by OpenAI's own client and by clients that do it wrong."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading

import pytest

import tiny_release

HALF_A_PAIR = b'{"messages": [{"role": "user", "content": "\\ud800"}]}'
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
    found = ask(client, temperature=0.5, max_tokens=5)
    assert found.choices[0].message.content == tiny_release.ANSWER
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.usage.completion_tokens > 20


def test_stream(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(parts) == tiny_release.ANSWER and len([part for part in parts if part]) > 3
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 20


def test_conversation(client):
    parts = [{"type": "text", "text": "Is it?"}]
    messages = [
        {"role": "system", "content": "You are a pirate."},
        *ASK,
        {"role": "assistant", "content": "Yes,\n\nit is."},
        {"role": "user", "content": parts},
    ]
    assert ask(client, messages).choices[0].message.content == tiny_release.ANSWER


def test_client_that_leaves_does_not_hold_up_others(client):
    with ask(client, stream=True) as stream:
        next(iter(stream))
    assert ask(client).choices[0].message.content == tiny_release.ANSWER


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
        (ASK, {"n": 2}),
        (ASK, {"stream": True, "stream_options": {"include_usage": "yes"}}),
        (ASK, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, messages, **more)
        assert refused.value.param and refused.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"\xff", 400),
        ("POST", "/v1/chat/completions", b"[" * 100_000, 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"messages": "Hi"}', 400),
        ("POST", "/v1/chat/completions", HALF_A_PAIR, 400),
        ("POST", "/v1/chat/completions", b'{"messages": [], "stream_options": "x"}', 400),
        ("POST", "/v1/chat/completions", b" " * 1_000_001, 413),
        ("GET", "/v1/chat/completions", b"", 405),
        ("POST", "/v1/embeddings", b"{}", 404),
    ],
)  # fmt: skip
def test_malformed_requests(address, method, path, content, status):
    import httpx

    found = httpx.request(method, address + path, content=content)
    assert found.status_code == status
    assert found.json()["error"].keys() == {"message", "type", "param", "code"}


def test_page_of_another_site_is_refused(address):
    import httpx

    assert httpx.get(f"{address}/v1/models", headers={"Host": "evil.example"}).status_code == 400


def test_requests_wait_and_too_many_are_told(release):
    import httpx

    from specialist.release.serving import Server, application

    server, busy = Server(release, waiting=1), threading.Event()
    server.thread.submit(busy.wait)

    async def crowd():
        transport = httpx.ASGITransport(application(server, ["*"]))
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
    assert statuses == [200, 200, 429]


def test_answer_that_failed_in_its_middle_is_told_in_the_stream(release):
    """The status is sent by then; clients read the error from the events."""
    import httpx

    from specialist.release.serving import Server, application

    server = Server(release)
    answer = server.answer

    def broken(work, history, message):
        work.put("part", "Or")
        work.put("failed", RuntimeError("llama_decode failed"))
        return answer

    server.answer = broken

    async def asked():
        transport = httpx.ASGITransport(application(server, ["*"]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            body = {"messages": ASK, "stream": True}
            return (await http.post("/v1/chat/completions", json=body)).text

    try:
        events = [line[6:] for line in asyncio.run(asked()).splitlines() if line]
    finally:
        server.close()
    assert json.loads(events[-1])["error"]["type"] == "server_error"
