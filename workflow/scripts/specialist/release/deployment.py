"""A released specialist, opened from its folder: model, handbook, tools and database.

Chat and server talk to the customer through this one class. Loop, memory and rules are those of
the evaluation.
"""

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

from specialist.agent import react
from specialist.agent.customer import Message
from specialist.agent.loop import Agent, Conversation, drive
from specialist.agent.policies import Model, Turn
from specialist.agent.record import Exchange, Trace
from specialist.core.errors import UserError
from specialist.release.contents import (
    DATABASE,
    INDEX,
    TOOLS,
    open_index,
    read_settings,
    read_tools,
    reading,
)

CLIENT_LIMIT = "client_limit"  # how an exchange ends that reaches the client's own limit
SESSION_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def offered_tools(tools, search):
    """The tools that an agent knows.

    Args:
        tools: tools.yaml, or nothing.
        search: whether it can search.
    """
    from specialist.agent.environment import SEARCH

    entries = read_tools(Path(tools)) if tools else []
    return [SEARCH, *entries] if search else entries


class ContextFull(Exception):
    """A message that leaves the agent no room to answer."""


class Bounded(Model):
    """A model whose turns may each have a limit of their own."""

    def turn(self, asked):
        """The next turn, as a `Turn`.

        Args:
            asked: (messages, most tokens of the turn).
        """
        messages, limit = asked
        most = self.max_new_tokens
        self.max_new_tokens = limit
        try:
            return super().turn(messages)
        finally:
            self.max_new_tokens = most


@dataclass
class Reply:
    """What came of a message.

    Attributes:
        conversation: the `Conversation` with this exchange.
        exchange: the `Exchange`.
        steps: the `Step`s of the exchange.
        text: what the customer reads: the reply, or as much of it as the agent has written.
        changes: what the exchange changed in the database; see
            `specialist.agent.environment.changes`.
        anew: whether the conversation began anew before it, with earlier exchanges as texts alone.
    """

    conversation: Conversation
    exchange: Exchange
    steps: list
    text: str
    changes: dict
    anew: bool = False


class Specialist:
    """An agent that holds conversations, each on its own copy of the database.

    Args:
        folder: a release; see workflow/scripts/release/make_release.py.
        session: values for the tools' SQL that differ from the release's own, such as
            {"customer_id": "3"}; texts, which are converted to the types of the release's own.
        threads: CPU threads.
        said, acted: see `specialist.agent.policies.Model` and `specialist.agent.loop.Agent`.
        parallel: conversations for which the model has room at the same time, for
            `specialist.gguf.batch.Batch`; None for one, with `reply`.

    Raises:
        UserError: the folder is no release or damaged, or the session has another key than its
            tools take.
    """

    def __init__(self, folder, session=None, *, threads=1, said=None, acted=None, parallel=None):
        from specialist.agent.environment import dump
        from specialist.core.prompt import system_message
        from specialist.gguf.runtime import Runtime

        folder = Path(folder)
        self.settings = read_settings(folder)
        parts = {name: name in self.settings["parts"] for name in (TOOLS, DATABASE, INDEX)}
        self.session = _session(self.settings["session"], session or {})
        offered = offered_tools(folder / TOOLS if parts[TOOLS] else None, parts[INDEX])
        with reading(folder / "prompt.jinja"):
            self.system = system_message(folder / "prompt.jinja", offered)
        with contextlib.ExitStack() as opened:
            self._original = opened.enter_context(_database(folder, parts[DATABASE]))
            self._before, search = dump(self._original), None
            if parts[INDEX]:
                found = open_index(
                    folder / INDEX, self.settings["top_k"], self.settings.get("search")
                )
                search = opened.enter_context(found).search
            with reading(folder / "model.gguf"):
                sequences = parallel + 1 if parallel else 1
                runtime = Runtime(
                    folder / "model.gguf", self.settings["context"], threads, sequences=sequences
                )
                self.model = Bounded.with_tools(
                    opened.enter_context(runtime),
                    self.system,
                    offered,
                    self.settings["max_new_tokens"],
                    said,
                    quote=self.settings["rules"],
                )
            self.agent = Agent(
                self.model, self.system, offered, self.settings["max_steps"], search, acted,
                rules=self.settings["rules"],
            )  # fmt: skip
            self._open = opened.pop_all()

    def converse(self, history=(), session=None):
        """A new `Conversation`, on a copy of the release's database.

        Args:
            history: (question, answer) of earlier exchanges that are known by their texts alone.
            session: values that differ from the specialist's own, as texts.

        Raises:
            UserError: the session has another key than the tools take, or a wrong value.
        """
        told_before = [turn for exchange in history for turn in told(*exchange)]
        trace = Trace("chat", "chat", self.agent.opening() + told_before)
        session = _session(self.session, session or {})
        return self.agent.converse(trace, self._original.copy(), self._before, session)

    def reply(self, conversation, message, limit=None):
        """Let the agent act on a message and answer it, as a `Reply`; see `answering`."""
        self.model.begin(None)
        return drive(self.answering(conversation, message, limit), self.model.turn)

    def answering(self, conversation, message, limit=None):
        """A generator that lets the agent act on a message and answer it. It returns a `Reply`.

        It yields (messages, most tokens) for each turn, and is sent the turn as a `Turn`. The
        conversation that is given stays as it is, also if `said` or `acted` raises.

        Args:
            conversation: a `Conversation`.
            message: text of the customer.
            limit: most tokens of all turns together; None for the agent's own limits.

        Raises:
            ContextFull: the message leaves no room for a turn.
        """
        alone = [*self.agent.opening(), {"role": "user", "content": message}]
        if (tokens := self.model.count(alone)) > self.model.room:
            text = f"{tokens} tokens with the system message, expected at most {self.model.room}"
            raise ContextFull(text)
        after = conversation.copy()
        try:
            exchange = yield from self._limited(self.agent.exchange(after, Message(message)), limit)
        except BaseException:
            after.close()
            raise
        steps = after.trace.steps[len(after.trace.steps) - exchange.steps :]
        text, changes = self._shown(after, exchange), _changes(conversation, after)
        after.condense()
        return Reply(after, exchange, steps, text, changes)

    def _limited(self, turns, limit):
        """Turns of the agent that have `limit` tokens together, or None for no such limit."""
        left, turn = math.inf if limit is None else limit, None
        while True:
            try:
                messages = turns.send(turn)
            except StopIteration as end:
                return end.value
            if left <= 0:
                turn = Turn("", cut=CLIENT_LIMIT)
                continue
            turn = yield messages, min(self.model.max_new_tokens, left)
            left -= turn.generated_tokens
            if turn.cut == "token_limit" and left <= 0:
                turn.cut = CLIENT_LIMIT

    def _shown(self, conversation, exchange):
        """The reply, or the part of an answer that is no false claim."""
        if exchange.reply is not None:
            return exchange.reply
        last = conversation.trace.messages[-1]
        part = react.answer(last["content"]) if last["role"] == "assistant" else ""
        return "" if self.agent.is_false(conversation.trace, part) else part

    def close(self):
        """Free the models and the database."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def told(question, answer):
    """An exchange as the agent would have had it, from question and answer alone."""
    answer = react.write_answer("answered", " ".join(answer.split()) or "-")
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _changes(before, after):
    """What differs in the database between two states of a conversation."""
    from specialist.agent.environment import changes, dump

    if before.changes() == after.changes():  # both since the start, and known already
        return {}
    return changes(dump(before.connection), dump(after.connection))


def _database(folder, there):
    """The release's database in memory, which `with` closes; an empty one without the part."""
    from specialist.agent.environment import open_database

    if not there:
        return contextlib.closing(open_database(""))
    with reading(folder / DATABASE):
        script = (folder / DATABASE).read_text(encoding="utf-8")
        return contextlib.closing(open_database(script))


def _session(own, given):
    """The values of a session, with the types of the release's own."""
    values = dict(own)
    for name, text in given.items():
        if name not in own:
            known = ", ".join(own) or "nothing"
            raise UserError(f"session {name}: found this name, expected {known}")
        try:
            values[name] = _typed(text, type(own[name]))
        except ValueError:
            kind = SESSION_TYPES.get(type(own[name]), "no value, as the release has none for it")
            raise UserError(f"session {name}: found {text!r}, expected {kind}") from None
    return values


def _typed(text, kind):
    """A text as a value of a type.

    Raises:
        ValueError: it is none, or none that SQLite can hold.
    """
    if kind is bool:
        return ["false", "true"].index(str(text).lower()) == 1
    if kind not in SESSION_TYPES:
        raise ValueError(kind)
    value = kind(text)
    if (kind is float and not math.isfinite(value)) or (kind is int and abs(value) >= 2**63):
        raise ValueError(value)
    return value
