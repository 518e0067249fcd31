"""A specialist behind OpenAI's chat completions, so that any chat client can talk to it.

The agent has its own system message, tools and way of decoding: a client's system messages and
sampling settings are left out, and tools of its own are refused. One model answers one request at
a time; others wait, and beyond a number of them are told to come back.
"""

import asyncio
import contextlib
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from specialist.agent import react
from specialist.core.schema_errors import explain
from specialist.release.deployment import ContextFull, Specialist, told

LARGEST = 1_000_000  # bytes of a request
TEXT = {"type": "string"}
PART = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"type": "string", "enum": ["text"]}, "text": TEXT},
}
MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant"]},
        "content": {"anyOf": [TEXT, {"type": "array", "items": PART}]},
    },
}
REQUEST = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "messages": {"type": "array", "minItems": 1, "items": MESSAGE},
        "model": TEXT,
        "stream": {"type": "boolean"},
        "stream_options": {
            "type": "object",
            "properties": {"include_usage": {"type": "boolean"}},
        },
        "n": {"type": "integer", "minimum": 1, "maximum": 1},
    },
}


class Refused(Exception):
    """A request that gets an error in OpenAI's form."""

    def __init__(self, status, text, *, param=None, code=None):
        super().__init__(text)
        self.status, self.param, self.code = status, param, code

    def body(self):
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self):
        return JSONResponse(self.body(), self.status)


class Gone(Exception):
    """The client has left."""


class Work:
    """One request on its way through the agent's thread.

    What happens is put in a queue of the server's: ("part", text of the answer that is new), and
    at the end ("done", trace), or ("failed", exception).
    """

    def __init__(self, loop):
        self.loop, self.events, self.gone = loop, asyncio.Queue(), threading.Event()
        self.sent = 0

    def put(self, kind, value):
        self.loop.call_soon_threadsafe(self.events.put_nowait, (kind, value))

    def said(self, text):
        if self.gone.is_set():
            raise Gone
        answer = react.answer(text)
        if len(answer) > self.sent:
            self.put("part", answer[self.sent :])
            self.sent = len(answer)


class Server:
    """Answers requests with one specialist, in one thread of its own, in their order.

    Args:
        folder, session, threads: see `specialist.release.deployment.Specialist`.
        waiting: most requests that wait for the one at work.
    """

    def __init__(self, folder, session=None, *, threads=1, waiting=8):
        # SQLite wants the thread that opened it, and llama.cpp one caller at a time.
        self.thread, self.waiting, self.here = ThreadPoolExecutor(1), waiting, 0
        self.work = None
        self.specialist = self.thread.submit(
            Specialist, folder, session, threads=threads, said=lambda text: self.work.said(text)
        ).result()
        self.name, self.started = self.specialist.settings["name"], int(time.time())

    def close(self):
        self.thread.submit(self.specialist.close).result()
        self.thread.shutdown()

    def answer(self, work, history, message):
        """Do a request's work, in the agent's thread."""
        self.work = work
        try:
            if work.gone.is_set():
                raise Gone
            trace, _ = self.specialist.reply(history, message)
            work.put("done", trace)
        except Exception as error:
            work.put("failed", error)

    async def models(self, request):
        card = {"id": self.name, "object": "model", "created": self.started}
        return JSONResponse({"object": "list", "data": [card | {"owned_by": "specialist"}]})

    async def completions(self, request):
        body = await read(request)
        history, message = conversation(body)
        if body.get("model", self.name) != self.name:
            text = f"model: found {body['model']}, expected {self.name}"
            raise Refused(404, text, param="model", code="model_not_found")
        if self.here > self.waiting:
            text = f"{self.here} requests are at work or waiting; try again later"
            raise Refused(429, text, code="rate_limit_exceeded")
        self.here += 1
        work = Work(asyncio.get_running_loop())
        self.thread.submit(self.answer, work, history, message).add_done_callback(
            lambda _: work.loop.call_soon_threadsafe(self.left)
        )
        if body.get("stream"):
            kind, value = await work.events.get()
            if kind == "failed":
                raise failure(value)
            usage = bool(body.get("stream_options", {}).get("include_usage"))
            events = self.stream(work, kind, value, usage)
            return StreamingResponse(events, media_type="text/event-stream")
        leaving = asyncio.create_task(leave(request, work))
        parts = []
        try:
            kind, value = await work.events.get()
            while kind == "part":
                parts.append(value)
                kind, value = await work.events.get()
        finally:
            leaving.cancel()
        if kind == "failed":
            raise failure(value)
        text = value.answer if value.answer is not None else "".join(parts)
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": ended(value)}
        return JSONResponse(
            self.head("chat.completion")
            | {"choices": [{"index": 0, "logprobs": None} | choice], "usage": tokens(value)}
        )

    async def stream(self, work, kind, value, usage):
        """The events of an answer, as they come, from the first one on."""
        head = self.head("chat.completion.chunk")

        def chunk(delta, reason=None):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return event(head | {"choices": [choice]})

        try:
            yield chunk({"role": "assistant", "content": ""})
            while kind == "part":
                yield chunk({"content": value})
                kind, value = await work.events.get()
            if kind == "failed":
                yield event(failure(value).body())
                return
            yield chunk({}, ended(value))
            if usage:
                yield event(head | {"choices": [], "usage": tokens(value)})
            yield "data: [DONE]\n\n"
        finally:
            work.gone.set()

    def left(self):
        self.here -= 1

    def head(self, kind):
        name = f"chatcmpl-{uuid.uuid4().hex}"
        return {"id": name, "object": kind, "created": int(time.time()), "model": self.name}


async def leave(request, work):
    """Let the agent stop when the client goes before it has its answer."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.5)
    work.gone.set()


async def read(request):
    """The JSON of a request, checked against REQUEST; keys that are null are left out."""
    import jsonschema

    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > LARGEST:
            raise Refused(413, f"found more than {LARGEST} bytes, expected at most that")
    try:
        body = json.loads(data)
        # Half of a pair of surrogates is no text.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"found no JSON: {error}") from None
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if value is not None}
    for error in jsonschema.Draft202012Validator(REQUEST).iter_errors(body):
        path, text = next(iter(explain(error)))
        place = ".".join(map(str, path)) or "request"
        raise Refused(400, f"{place}: {text}", param=place)
    if body.get("tools") or body.get("functions"):
        raise Refused(400, "tools: the agent has its own; leave them out", param="tools")
    return body


def conversation(body):
    """(exchanges before, the user's last message) of a request."""
    turns = []
    for message in body["messages"]:
        content = message["content"]
        if not isinstance(content, str):
            content = "\n".join(part["text"] for part in content)
        if message["role"] not in ("user", "assistant") or not content.strip():
            continue
        if turns and turns[-1][0] == message["role"]:
            content = f"{turns.pop()[1]}\n{content}"
        turns.append((message["role"], content))
    if not turns or turns[-1][0] != "user":
        text = "messages: expected that the last one is the user's, and not empty"
        raise Refused(400, text, param="messages")
    if turns[0][0] == "assistant":  # a greeting
        turns.pop(0)
    texts = [content for _, content in turns]
    return [told(*pair) for pair in zip(texts[:-1:2], texts[1::2], strict=True)], texts[-1]


def failure(error):
    """The `Refused` that tells a client of an exception in the agent's thread."""
    if isinstance(error, ContextFull):
        code = "context_length_exceeded"
        return Refused(400, f"messages: {error}", param="messages", code=code)
    return Refused(500, f"{type(error).__name__}: {error}")


def ended(trace):
    """OpenAI's finish_reason; an agent that came to no answer was cut off by a limit."""
    return "stop" if trace.answer is not None else "length"


def tokens(trace):
    """OpenAI's usage: what all turns of the agent took."""
    asked = sum(step.prompt_tokens for step in trace.steps)
    made = sum(step.generated_tokens for step in trace.steps)
    return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


def event(value):
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def application(server, hosts):
    """The web application.

    Args:
        server: a `Server`, closed when the application ends.
        hosts: names by which it may be asked: a page of another site cannot use it.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_):
        yield
        server.close()

    async def refused(_, error):
        if isinstance(error, HTTPException):
            error = Refused(error.status_code, error.detail)
        return error.response()

    async def broken(_, error):
        return failure(error).response()

    return Starlette(
        routes=[
            Route("/v1/models", server.models),
            Route("/v1/chat/completions", server.completions, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={Refused: refused, HTTPException: refused, Exception: broken},
        lifespan=lifespan,
    )
