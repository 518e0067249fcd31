"""A request in the thread of the agent, and what a client hears of it while it is there."""

import asyncio
import contextlib
import json
import threading

from specialist.agent import react
from specialist.release.openai_api import failure, parse


class Work:
    """One request in the agent's thread.

    What happens is put in a queue of the server's: ("part", text of the answer that is new), and
    at the end ("done", `specialist.release.deployment.Reply`), or ("failed", exception).

    Args:
        loop: the server's event loop.
        request: a `specialist.release.openai_api.Request`.
        rules: whether a rule may replace a reply. Then no part of an answer is shown before the
            rules have seen it whole.

    Attributes:
        names: OpenAI's names of a whole answer and of a part of one.
    """

    names = "chat.completion", "chat.completion.chunk"

    def __init__(self, loop, request, rules):
        self.loop, self.request, self.rules = loop, request, rules
        self.events, self.gone, self.sent = asyncio.Queue(), threading.Event(), 0

    @staticmethod
    def parse(data, server):
        """The request in the bytes of a body, for a `specialist.release.serving.Server`."""
        return parse(data, server.name, server.sessions)

    def job(self, server):
        """The job of the agent's thread; it returns what `finish` takes."""
        return server.reply(self)

    def put(self, kind, value):
        self.call(self.events.put_nowait, (kind, value))

    def call(self, function, *args):
        """Call a function in the server's loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
            self.loop.call_soon_threadsafe(function, *args)

    async def next(self):
        """The next thing that happens, as (kind, value).

        Raises:
            Refused: the work failed.
        """
        kind, value = await self.events.get()
        if kind == "failed":
            raise failure(value)
        return kind, value

    def said(self, turn):
        """Store the text of a turn so far."""
        if not self.rules:
            self.show(before_stop(react.answer(turn), self.request.stops))

    def acted(self, step):
        """Notice a `specialist.agent.record.Step` when all has come of it."""

    def finish(self, reply):
        """Store the end of the agent's work, and the part of the answer held back so far."""
        self.show(reply.text)
        self.put("done", reply)

    def show(self, answer):
        if len(answer) > self.sent:
            self.put("part", answer[self.sent :])
            self.sent = len(answer)

    def opening(self):
        """Content of the first choice of a streamed answer, before all text; or None."""
        return {"delta": {"role": "assistant", "content": ""}}

    def part(self, text):
        """Content of a choice that brings a part of the answer; None for its end."""
        return {"delta": {} if text is None else {"content": text}}

    def whole(self, text):
        """Content of the choice with a whole answer."""
        return {"message": {"role": "assistant", "content": text}}

    def ended(self, reply):
        """OpenAI's finish_reason; `length` if the agent gave no answer."""
        return "stop" if reply.exchange.reply is not None else "length"

    def tokens(self, reply):
        """OpenAI's usage: tokens of all turns of the agent in this exchange."""
        asked = sum(step.prompt_tokens for step in reply.steps)
        made = sum(step.generated_tokens for step in reply.steps)
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


class OpenWork(Work):
    """A request whose client sees the agent at work.

    It puts ("thought", text of the thought so far) and ("step", `shown` of the step) too.
    """

    thought = ""

    def said(self, turn):
        super().said(turn)
        line = turn.partition("\n")[0].rstrip("\ufffd")  # an incomplete character
        thought = line.removeprefix(react.THOUGHT) if line.startswith(react.THOUGHT) else ""
        if thought != self.thought:
            self.thought = thought
            self.put("thought", thought)

    def acted(self, step):
        self.thought = ""
        self.put("step", shown(step))


def shown(step):
    """What a person reads of a step, as a dict for JSON."""
    result, passages = step.observation, []
    if step.sources:  # one line for each
        texts = result.split("\n")
        passages = [
            {"source": source, "text": text}
            for source, text in zip(step.sources, texts, strict=True)
        ]
        result = None
    same = ("thought", "call", "arguments", "error", "by")
    kept = {name: getattr(step, name) for name in same}
    return kept | {"result": result, "passages": passages}


def event(value):
    """A server-sent event with a JSON value."""
    # In ASCII, as some clients end a line at other characters than a line feed.
    return f"data: {json.dumps(value)}\n\n"


def before_stop(answer, stops, whole=False):
    """An answer up to the first stop.

    Args:
        answer: as far as it is written.
        stops: texts at which it ends.
        whole: whether it is written to its end; else what may be the start of a stop is left out.
    """
    end = min((answer.find(stop) for stop in stops if stop in answer), default=len(answer))
    if not whole and end == len(answer):
        for stop in stops:
            sizes = range(min(len(stop), len(answer)), 0, -1)
            held = next((size for size in sizes if answer.endswith(stop[:size])), 0)
            end = min(end, len(answer) - held)
    return answer[:end]
