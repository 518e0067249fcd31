"""Text completions of the server, and several requests at the same time."""

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

import tiny_release
from specialist.release.completions_api import LONGEST_GRAMMAR
from specialist.release.parameters import Refused
from test_serving import ask, connect, state, talk
from tiny_server import served, wait

PROMPT = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
GRAMMAR = 'root ::= "zq7" | "zq8"'


@pytest.fixture(scope="module")
def server(release):
    """(address, `Server`) that takes grammars."""
    with served(release, {"grammars": True}) as (port, server):
        yield f"http://127.0.0.1:{port}/v1", server


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server[0], api_key="none", max_retries=0) as opened:
        yield opened


def complete(client, prompt=PROMPT, grammar=None, **more):
    extra = {"extra_body": {"grammar": grammar}} if grammar else {}
    return client.completions.create(model=tiny_release.NAME, prompt=prompt, **extra, **more)


def test_text_and_ids_continue_alike(client, server):
    runtime = server[1].specialist.model.runtime
    ids = server[1].thread.submit(runtime.tokenize, PROMPT).result()
    texts = [complete(client, prompt, max_tokens=40, temperature=0) for prompt in (PROMPT, ids)]
    assert texts[0].choices[0].text == texts[1].choices[0].text != ""
    usage = texts[0].usage
    assert usage.prompt_tokens == len(ids) and 0 < usage.completion_tokens <= 40
    # The same tokens as without the server.
    found = server[1].thread.submit(greedy, server[1], ids, 40).result()
    assert texts[0].choices[0].text == found


def greedy(server, ids, most):
    """A continuation in a batch of its own, in the agent's thread."""
    batch, runtime = server.thread.batch, server.specialist.model.runtime
    batch.clear(0)
    batch.ask(0, ids, max_tokens=most)
    while batch.step() != [0]:
        pass
    new = batch.slots[0].new
    ends = new[-1] == server.specialist.model.chat.end or runtime.ends(new[-1])
    return runtime.detokenize(new[:-1] if ends else new)


def test_limits_stops_and_grammars_are_honoured(client):
    assert complete(client).usage.completion_tokens <= 16
    short = complete(client, max_tokens=3)
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 3
    whole = complete(client, max_tokens=40).choices[0].text
    stop = whole[5:8]
    cut = complete(client, max_tokens=40, stop=stop)
    assert cut.choices[0].text == whole.partition(stop)[0]
    assert cut.choices[0].finish_reason == "stop" and cut.usage.completion_tokens < 40
    held = complete(client, grammar=GRAMMAR)
    assert held.choices[0].text in ("zq7", "zq8") and held.choices[0].finish_reason == "stop"


def test_stream(client):
    whole = complete(client, max_tokens=20)
    options = {"include_usage": True}
    chunks = list(complete(client, max_tokens=20, stream=True, stream_options=options))
    parts = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(part.text for part in parts) == whole.choices[0].text
    assert parts[-1].finish_reason == whole.choices[0].finish_reason
    assert len(parts) > 3 and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"prompt": ""}, "prompt: found \"\", expected text or a list of token ids"),
        ({"prompt": ["Hi", "Ho"]}, "expected text or a list"),
        ({"prompt": [5, True]}, "expected text or a list"),
        ({"prompt": [5, 100_000]}, "prompt: found 100000, expected token ids from 0 to"),
        ({"prompt": [5] * 512}, "prompt: found 512 tokens, expected at most 511"),
        ({"prompt": "x" * 40_000}, "prompt: found 40000 characters"),
        ({"temperature": 1}, "temperature: found 1, expected 0"),
        ({"max_tokens": 0}, "max_tokens: found 0, expected a whole number, at least 1"),
        ({"logprobs": 3}, "logprobs: found 3"),
        ({"grammar": "root ::= x"}, "grammar: llama.cpp cannot parse a grammar"),
        ({"grammar": 'root ::= "a" [b-a]'}, "grammar: it allows no token after \"a\", and no end"),
        ({"grammar": "x" * (LONGEST_GRAMMAR + 1)}, "expected 1 to 100000 characters"),
        ({"guided_grammar": GRAMMAR}, "guided_grammar: this server does not know the parameter"),
        ({"model": "other"}, "model: found \"other\", expected shop-tiny"),
    ],
)  # fmt: skip
def test_refusals(server, given, why):
    import httpx

    found = httpx.post(f"{server[0]}/completions", json={"prompt": "Hi", **given}, timeout=60)
    assert found.status_code in (400, 404)
    assert why in found.json()["error"]["message"]


def test_a_grammar_needs_the_owners_word(server, monkeypatch, client):
    monkeypatch.setattr(server[1], "grammars", False)
    with pytest.raises(openai.BadRequestError, match="--allow-grammar"):
        complete(client, grammar=GRAMMAR)


@contextlib.contextmanager
def gathered(server, count):
    """Let requests begin together: the agent's thread waits until so many have arrived."""
    begin = threading.Event()
    server.thread.submit(begin.wait)
    with ThreadPoolExecutor(count) as pool:
        try:
            yield pool
            wait(lambda: server.here == count)
        finally:
            begin.set()


def test_answers_together_are_those_of_one_at_a_time(release):
    """Two clients, whose conversations decode in one batch: equal replies, each its own data."""
    orders = [["Cancel FD-12!", "Where is my order?"], ["Hi", "Is it?"]]
    sessions = [{"customer": "7"}, {"customer": "8"}]
    with served(release, {"choose_session": True}) as (port, server):
        alone = [talk(port, texts, metadata=own)
                 for texts, own in zip(orders, sessions, strict=True)]  # fmt: skip
        before = state(server)
        most = []
        step = server.thread.batch.step

        def counted():
            most.append(sum(1 for slot in server.thread.batch.slots if slot.pending))
            return step()

        server.thread.batch.step = counted
        with gathered(server, 2) as pool:
            pairs = zip(orders, sessions, strict=True)
            both = [pool.submit(talk, port, texts, metadata=own) for texts, own in pairs]
        assert [future.result() for future in both] == alone
        assert max(most) == 2
        # The order belongs to the first customer: only their conversations change it.
        after = [json.dumps(changes, sort_keys=True) for changes in state(server)]
        assert {*after} == {json.dumps(changes, sort_keys=True) for changes in before}
        assert "{}" in after and len({*after}) == 2


def test_streams_interleave_and_a_slow_client_blocks_nobody(release):
    heard = []
    slow = json.dumps({"prompt": PROMPT, "stream": True, "max_tokens": 200}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with served(release, {"grammars": True}) as (port, server):

        def read(name):
            with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
                held = complete(client, grammar="root ::= [a-z]+", max_tokens=60, stream=True)
                for chunk in held:
                    heard.append((name, chunk.choices[0].text))

        with gathered(server, 3) as pool:
            # This one never reads its answer.
            opened = connect(port, head + f"Content-Length: {len(slow)}\r\n\r\n".encode() + slow)
            done = [pool.submit(read, name) for name in "ab"]
        for future in done:
            future.result(60)
        opened.close()
    names = [name for name, _ in heard]
    first, last = names.index, lambda name: len(names) - 1 - names[::-1].index(name)
    assert first("a") < last("b") and first("b") < last("a")
    texts = ["".join(text for name, text in heard if name == own) for own in "ab"]
    assert texts[0] == texts[1] and len(texts[0]) > 20


def test_more_requests_than_slots_are_answered_in_their_order(release):
    """Two slots, five requests: each has its answer, and nobody is refused."""
    with served(release, {"parallel": 2, "waiting": 8}) as (port, server):

        def one(_):
            with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
                return ask(client).choices[0].message.content

        with ThreadPoolExecutor(5) as pool:
            assert [*pool.map(one, range(5))] == 5 * [tiny_release.ANSWER]
        wait(lambda: not server.here)


def test_a_failure_of_the_model_fails_what_is_at_work_and_nothing_else(release):
    with served(release) as (port, server):
        step, batch = server.thread.batch.step, server.thread.batch

        def broken():
            batch.step = step
            raise RuntimeError("llama_decode failed")

        batch.step = broken
        with openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0
        ) as client:
            with pytest.raises(openai.InternalServerError, match="llama_decode failed"):
                ask(client)
            assert ask(client).choices[0].message.content == tiny_release.ANSWER


def test_retry_after_is_a_header_of_a_refusal_alone():
    assert Refused(429, "busy", retry=3).headers() == {"retry-after": "3"}
    assert Refused(400, "wrong").headers() == {}
