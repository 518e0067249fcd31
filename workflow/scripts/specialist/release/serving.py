"""A specialist behind OpenAI's chat completions, and a page for talking to it in a browser.

One model answers some requests at the same time, in one batch; see `specialist.release.crew`.
Others wait in the order of their arrival, up to a number, and more are refused. Each conversation
has its own copy of the database; see `specialist.release.conversations`.

A request that the agent has begun is carried to its end, whether its client stays or leaves, and
streamed or not. A request that still waits when its client leaves is dropped.
"""

import asyncio
import contextlib
import math
import time
import uuid
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from specialist.core.files import sha256
from specialist.release.completions_api import Completion
from specialist.release.conversations import Conversations
from specialist.release.crew import Crew, turns
from specialist.release.deployment import Specialist
from specialist.release.guard import Guard, response
from specialist.release.openai_api import failure
from specialist.release.page import Page
from specialist.release.parameters import LARGEST, Refused
from specialist.release.work import Work, before_stop, event


class Server:
    """Answers requests with one specialist, in the thread of a `Crew`.

    Args:
        folder, session, threads: see `specialist.release.deployment.Specialist`.
        parallel: most requests at work at the same time.
        waiting: most requests that wait for these.
        conversations, seconds: how many to remember, and for how long after their last message.
        choose_session: whether a client chooses its session, by `metadata` of its requests.
        grammars: whether a client may bring a grammar for a text completion.
    """

    def __init__(
        self, folder, session=None, *,
        threads=1, parallel=4, waiting=8, conversations=64, seconds=1800, choose_session=False,
        grammars=False,
    ):  # fmt: skip
        self.thread, self.parallel, self.waiting = Crew(), parallel, waiting
        # Requests that are at work or waiting, and the usual seconds of one.
        self.here, self.usual, self.closing = 0, 1.0, False
        try:
            self.specialist = self.thread.submit(
                Specialist, folder, session, threads=threads, acted=self.acted, parallel=parallel
            ).result()
            self.thread.submit(self.thread.open, self.specialist.model, parallel).result()
            self.page = Page(self, folder)
        except BaseException:
            self.thread.close()
            raise
        settings, self.started = self.specialist.settings, int(time.time())
        self.name, self.context = settings["name"], settings["context"]
        self.sha256 = sha256(Path(folder) / "model.gguf")
        self.conversations = Conversations(conversations, seconds)
        self.sessions = self.specialist.session.keys() if choose_session else ()
        self.grammars = grammars

    def close(self):
        """Stop what is at work, drop waiting requests, and free the specialist."""
        self.closing = True
        self.thread.submit(self.thread.stop, Refused(503, "the server ends")).result()
        self.thread.submit(self.conversations.close).result()
        self.thread.submit(self.thread.batch.close).result()
        self.thread.submit(self.specialist.close).result()
        self.thread.close()

    def acted(self, step):
        self.thread.current.acted(step)

    def answer(self, work):
        """The job of a request; see `specialist.release.crew`."""
        begin = time.monotonic()
        try:
            if self.closing or work.gone.is_set():
                raise Refused(503, "the server ends, or the client has left")
            work.finish((yield from work.job(self)))
            self.usual += 0.2 * (time.monotonic() - begin - self.usual)
        except Exception as error:
            work.put("failed", error)
        finally:
            work.call(self.left)

    def reply(self, work):
        """The job of an answer to a customer. It returns the `Reply`, which is remembered."""
        request, specialist = work.request, self.specialist
        session, history = request.session, request.history
        with contextlib.ExitStack() as opened:
            found = opened.enter_context(self.conversations.find(session, history))
            known = found is not None
            if not known:
                found = specialist.converse(history, session)
                opened.enter_context(contextlib.closing(found))
            answering = specialist.answering(found, request.message, request.limit)
            reply = yield from turns(answering, specialist.model, work.said)
        reply.anew = bool(history) and not known
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
            request: a `specialist.release.openai_api.Request`, or another one of the work's kind.
            kind: class of the work; see `specialist.release.work`.

        Raises:
            Refused: too many requests wait.
        """
        if self.here >= self.parallel + self.waiting:
            text = f"{self.here} requests are at work or waiting; try again later"
            seconds = math.ceil(min(60, self.usual * max(1, self.waiting) / self.parallel))
            raise Refused(429, text, code="rate_limit_exceeded", retry=seconds)
        self.here += 1
        work = kind(asyncio.get_running_loop(), request, self.specialist.settings["rules"])
        self.thread.add(work, self.answer(work))
        return work

    def left(self):
        self.here -= 1

    async def models(self, request):
        card = {"id": self.name, "object": "model", "created": self.started}
        card |= {"owned_by": "specialist", "sha256": self.sha256, "max_model_len": self.context}
        return JSONResponse({"object": "list", "data": [card]})

    async def begin(self, http, kind=Work):
        """(the `Work` of a request, the first thing that happens), once the agent has begun.

        Raises:
            Refused: the request is malformed, or the work failed at once.
        """
        work = self.submit(kind.parse(await read(http), self), kind)
        leaving = asyncio.create_task(leave(http, work))
        try:
            return work, await work.next()
        finally:
            leaving.cancel()

    async def chat(self, http):
        return await self.written(http, Work)

    async def completions(self, http):
        return await self.written(http, Completion)

    async def written(self, http, kind):
        """The answer to a request, whole or as a stream."""
        work, (what, value) = await self.begin(http, kind)
        if work.request.stream:
            events = self.stream(work, what, value)
            return StreamingResponse(events, media_type="text/event-stream")
        while what == "part":
            what, value = await work.next()
        end = {"index": 0, "logprobs": None, "finish_reason": work.ended(value)}
        choices = [end | work.whole(value.text)]
        head = self.head(work.names[0])
        return JSONResponse(head | {"choices": choices, "usage": work.tokens(value)})

    async def stream(self, work, kind, value):
        """The events of an answer, as they come, from the first one on."""
        head = self.head(work.names[1])

        def chunk(content, reason=None):
            choice = {"index": 0, "logprobs": None, "finish_reason": reason}
            return event(head | {"choices": [choice | content]})

        try:
            if opening := work.opening():
                yield chunk(opening)
            while kind == "part":
                yield chunk(work.part(value))
                kind, value = await work.next()
        except Refused as error:
            yield event(error.body())
            return
        finally:
            work.gone.set()
        yield chunk(work.part(None), work.ended(value))
        if work.request.usage:
            yield event(head | {"choices": [], "usage": work.tokens(value)})
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
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
            Route("/v1/completions", server.completions, methods=["POST"]),
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
