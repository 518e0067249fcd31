"""A request in the thread of the agent, and what a client hears of it while it is there."""

import asyncio
import contextlib
import json
import threading

from specialist.agent import react
from specialist.release.openai_api import failure


class Work:
    """One request in the agent's thread.

    What happens is put in a queue of the server's: ("part", text of the answer that is new), and
    at the end ("done", `specialist.release.deployment.Reply`), or ("failed", exception).

    Args:
        loop: the server's event loop.
        request: a `specialist.release.openai_api.Request`.
        rules: whether a rule may replace a reply. Then no part of an answer is shown before the
            rules have seen it whole.
    """

    def __init__(self, loop, request, rules):
        self.loop, self.request, self.rules = loop, request, rules
        self.events, self.gone, self.sent = asyncio.Queue(), threading.Event(), 0

    def put(self, kind, value):
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
            self.loop.call_soon_threadsafe(self.events.put_nowait, (kind, value))

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
