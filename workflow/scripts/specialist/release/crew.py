"""The thread of the agent. Several requests make progress there together, in one batch.

A job is a generator: it yields an `Ask` for each text that the model must continue, and is sent
the `specialist.gguf.batch.Slot` with the continuation. Between two steps of the batch, the
thread runs other functions that need it: SQLite wants the thread that opened it, and llama.cpp one
caller at a time.
"""

import contextlib
import queue
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from specialist.agent.policies import Turn
from specialist.gguf.batch import Batch
from specialist.gguf.runtime import ContextOverflow


class Ask(NamedTuple):
    """What a job wants: ids, grammar and limit of `specialist.gguf.batch.Batch.ask`.

    `heard` is a function that is given the ids of the continuation after each token. The
    continuation ends if it returns true.
    """

    ids: list
    grammar: str | None
    most: int
    heard: object


@dataclass
class Running:
    """A job in a slot: its owner, the generator, its wish, and the tokens that it was given."""

    owner: object
    job: object
    asked: Ask
    heard: int = 0


class Crew:
    """Runs functions and jobs in a thread of its own, jobs in the order of their arrival.

    `open` must have run before the first job.

    Attributes:
        current: owner of the job that was continued last.
    """

    def __init__(self):
        self._inbox, self._waiting, self._running = queue.SimpleQueue(), deque(), {}
        self.batch, self.current, self._free, self._ended = None, None, [], False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, function, *args, **options):
        """Run a function in the thread, between two steps of the batch; its `Future`."""
        future = Future()
        self._inbox.put((future, function, args, options))
        return future

    def add(self, owner, job):
        """Let a job begin as soon as a slot is free."""
        self.submit(self._waiting.append, (owner, job))

    def open(self, model, slots):
        """Make the batch, in the thread.

        Args:
            model: a `specialist.agent.policies.Model`, whose runtime has `slots + 1` sequences.
            slots: jobs at the same time.
        """
        ends = (model.chat.end,)
        self.batch = Batch(model.runtime, slots, model.prefix, model.max_new_tokens, ends)
        self._free = list(range(slots))

    def stop(self, error):
        """End all jobs by an error, in the thread."""
        for slot in list(self._running):
            self._fail(slot, error)
        while self._waiting:
            self.current, job = self._waiting.popleft()
            with contextlib.suppress(StopIteration):
                next(job)  # it notices the end by itself
            job.close()

    def close(self):
        """Free the batch, and end the thread. No job may be left."""
        if self.batch:
            self.submit(self.batch.close).result()
        self._ended = True
        self.submit(lambda: None)
        self._thread.join()

    def _work(self):
        while not self._ended:
            self._receive()
            while self._free and self._waiting:
                slot = self._free.pop(0)
                self.batch.clear(slot)
                self._advance(slot, *self._waiting.popleft(), None)
            if self._running:
                self._step()

    def _receive(self):
        """Run the functions that have arrived; wait for one if there is nothing else to do."""
        wait = not self._running and not (self._waiting and self._free)
        while wait or not self._inbox.empty():
            wait = False
            future, function, args, options = self._inbox.get()
            try:
                future.set_result(function(*args, **options))
            except BaseException as error:
                future.set_exception(error)

    def _step(self):
        try:
            ended = set(self.batch.step())
        except Exception as error:  # of llama.cpp; it does not show whose tokens caused it
            for slot in list(self._running):
                self._fail(slot, error)
            return
        for slot, running in list(self._running.items()):
            made = self.batch.slots[slot]
            if len(made.new) > running.heard:
                running.heard = len(made.new)
                try:
                    enough = running.asked.heard(made.new)
                except Exception as error:
                    self._fail(slot, error)
                    continue
                if enough and slot not in ended:
                    self.batch.stop(slot)
                    ended.add(slot)
            if slot in ended:
                self._running.pop(slot)
                self._advance(slot, running.owner, running.job, made)

    def _fail(self, slot, error):
        self.batch.stop(slot)
        running = self._running.pop(slot)
        self._advance(slot, running.owner, running.job, error)

    def _advance(self, slot, owner, job, value):
        """Give a job what it waits for, a slot or an exception, until it wants a continuation."""
        while True:
            self.current = owner
            try:
                given = isinstance(value, Exception)
                asked = job.throw(value) if given else job.send(value)
            except StopIteration:
                self._free.append(slot)
                return
            try:
                self.batch.ask(slot, asked.ids, grammar=asked.grammar, max_tokens=asked.most)
            except Exception as error:  # the job fails; the thread and the others go on
                value = error
                continue
            self._running[slot] = Running(owner, job, asked)
            return


def turns(answering, model, said):
    """A job that makes the turns of an answer. It returns what `answering` returns.

    Args:
        answering: generator of `specialist.release.deployment.Specialist.answering`.
        model: the specialist's.
        said: function that is given the text of a turn after each token.
    """

    def heard(new):
        if new[-1] != model.chat.end and not model.runtime.ends(new[-1]):
            said(model.runtime.detokenize(new).lstrip(" "))

    turn = None
    while True:
        try:
            messages, most = answering.send(turn)
        except StopIteration as end:
            return end.value
        ids = model.chat.ids(messages)
        try:
            made = yield Ask(ids, model.grammar_of(messages), most, heard)
        except ContextOverflow:
            turn = Turn("", cut="context_overflow")
        except Exception as error:
            return answering.throw(error)
        else:
            turn = model.written(made.new, len(ids), made.usage)
