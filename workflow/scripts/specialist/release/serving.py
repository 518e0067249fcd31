"""A specialist behind OpenAI's chat completions, and a page for talking to it in a browser.

One model answers one request at a time. Others wait, up to a number, and more are refused. Each
conversation has its own copy of the database; see `specialist.release.conversations`.

A request that the agent has begun is carried to its end, whether its client stays or leaves, and
streamed or not. A request that still waits when its client leaves is dropped.
"""

import asyncio
import contextlib
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from specialist.release.conversations import Conversations
from specialist.release.deployment import Specialist
from specialist.release.guard import Guard, response
from specialist.release.openai_api import failure, parse
from specialist.release.page import Page
from specialist.release.parameters import LARGEST, Refused
from specialist.release.work import Work, before_stop, event


class Server:
    """Answers requests with one specialist, in order, in its own thread.

    Args:
        folder, session, threads: see `specialist.release.deployment.Specialist`.
        waiting: most requests that wait for the one at work.
        conversations, seconds: how many to remember, and for how long after their last message.
        choose_session: whether a client chooses its session, by `metadata` of its requests.
    """

    def __init__(
        self, folder, session=None, *,
        threads=1, waiting=8, conversations=64, seconds=1800, choose_session=False,
    ):  # fmt: skip
        # SQLite wants the thread that opened it, and llama.cpp one caller at a time.
        self.thread, self.waiting, self.here = ThreadPoolExecutor(1), waiting, 0
        self.lock, self.closing, self.work = threading.Lock(), False, None
        try:
            self.specialist = self.thread.submit(
                Specialist, folder, session, threads=threads, said=self.said, acted=self.acted
            ).result()
            self.page = Page(self, folder)
        except BaseException:
            self.thread.shutdown(wait=False)
            raise
        self.name, self.started = self.specialist.settings["name"], int(time.time())
        self.conversations = Conversations(conversations, seconds)
        self.sessions = self.specialist.session.keys() if choose_session else ()

    def close(self):
        """Stop the current work, drop waiting requests, and free the specialist."""
        self.closing = True
        self.thread.submit(self.conversations.close).result()
        self.thread.submit(self.specialist.close).result()
        self.thread.shutdown()

    def said(self, turn):
        if self.closing:
            raise Refused(503, "the server ends")
        self.work.said(turn)

    def acted(self, step):
        self.work.acted(step)

    def answer(self, work):
        """Do a request's work, in the agent's thread."""
        self.work, request = work, work.request
        try:
            if self.closing or work.gone.is_set():
                raise Refused(503, "the server ends, or the client has left")
            work.finish(self.reply(request))
        except Exception as error:
            work.put("failed", error)

    def reply(self, request):
        """The `Reply` to a request, in the agent's thread; it is remembered."""
        session, history = request.session, request.history
        if found := self.conversations.find(session, history):
            reply = self.specialist.reply(found, request.message, request.limit)
        else:
            with contextlib.closing(self.specialist.converse(history, session)) as new:
                reply = self.specialist.reply(new, request.message, request.limit)
            reply.anew = bool(history)
        reply.text = before_stop(reply.text, request.stops, whole=True)
        said = [*history, (request.message, reply.text)]
        self.conversations.keep(session, said, reply.conversation)
        return reply

    async def forget(self):
        """Forget old conversations, also when no request comes."""
        while True:
            await asyncio.sleep(min(60, self.conversations.seconds))
            await asyncio.wrap_future(self.thread.submit(self.conversations.forget))

    def submit(self, request, kind=Work):
        """The `Work` of a request, in the queue of the agent's thread.

        Args:
            request: a `specialist.release.openai_api.Request`.
            kind: class of the work; see `specialist.release.work`.

        Raises:
            Refused: too many requests wait.
        """
        with self.lock:
            if self.here > self.waiting:
                text = f"{self.here} requests are at work or waiting; try again later"
                raise Refused(429, text, code="rate_limit_exceeded")
            self.here += 1
        work = kind(asyncio.get_running_loop(), request, self.specialist.settings["rules"])
        self.thread.submit(self.answer, work).add_done_callback(self.left)
        return work

    def left(self, _):
        with self.lock:
            self.here -= 1

    async def models(self, request):
        card = {"id": self.name, "object": "model", "created": self.started}
        return JSONResponse({"object": "list", "data": [card | {"owned_by": "specialist"}]})

    async def begin(self, http, kind=Work):
        """(the `Work` of a request, the first thing that happens), once the agent has begun.

        Raises:
            Refused: the request is malformed, or the work failed at once.
        """
        work = self.submit(parse(await read(http), self.name, self.sessions), kind)
        leaving = asyncio.create_task(leave(http, work))
        try:
            return work, await work.next()
        finally:
            leaving.cancel()

    async def completions(self, http):
        work, (kind, value) = await self.begin(http)
        if work.request.stream:
            events = self.stream(work, kind, value)
            return StreamingResponse(events, media_type="text/event-stream")
        while kind == "part":
            kind, value = await work.next()
        message = {"role": "assistant", "content": value.text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": ended(value)}
        head = self.head("chat.completion")
        return JSONResponse(head | {"choices": [choice], "usage": tokens(value)})

    async def stream(self, work, kind, value):
        """The events of an answer, as they come, from the first one on."""
        head = self.head("chat.completion.chunk")

        def chunk(delta, reason=None):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return event(head | {"choices": [choice]})

        yield chunk({"role": "assistant", "content": ""})
        try:
            while kind == "part":
                yield chunk({"content": value})
                kind, value = await work.next()
        except Refused as error:
            yield event(error.body())
            return
        yield chunk({}, ended(value))
        if work.request.usage:
            yield event(head | {"choices": [], "usage": tokens(value)})
        yield "data: [DONE]\n\n"

    def head(self, kind):
        name = f"chatcmpl-{uuid.uuid4().hex}"
        return {"id": name, "object": kind, "created": int(time.time()), "model": self.name}


async def leave(http, work):
    """Notice when the client leaves. The body was read, so nothing else can arrive."""
    while (await http.receive())["type"] != "http.disconnect":
        pass
    work.gone.set()


async def read(http):
    """The bytes of a request's body.

    Raises:
        Refused: there are too many.
    """
    data = bytearray()
    async for part in http.stream():
        data += part
        if len(data) > LARGEST:
            raise Refused(413, f"request: found more than {LARGEST} bytes, expected at most that")
    return bytes(data)


def ended(reply):
    """OpenAI's finish_reason; `length` if the agent gave no answer."""
    return "stop" if reply.exchange.reply is not None else "length"


def tokens(reply):
    """OpenAI's usage: tokens of all turns of the agent in this exchange."""
    asked = sum(step.prompt_tokens for step in reply.steps)
    made = sum(step.generated_tokens for step in reply.steps)
    return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


def application(server, hosts):
    """The web application.

    Args:
        server: a `Server`, closed when the application ends.
        hosts: names by which it may be asked, see `specialist.release.guard.Guard`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_):
        forgetting = asyncio.create_task(server.forget())
        yield
        forgetting.cancel()
        server.close()

    async def refused(_, error):
        if isinstance(error, HTTPException):
            error = Refused(error.status_code, error.detail)
        return response(error)

    async def left(*_):
        return Response(status_code=499)  # nobody reads it

    async def broken(_, error):
        return response(failure(error))

    return Starlette(
        routes=[
            Route("/v1/models", server.models),
            Route("/v1/chat/completions", server.completions, methods=["POST"]),
            *server.page.routes(),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={
            Refused: refused,
            HTTPException: refused,
            ClientDisconnect: left,
            Exception: broken,
        },
        lifespan=lifespan,
    )
