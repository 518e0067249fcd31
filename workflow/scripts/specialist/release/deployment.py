"""A released specialist, opened from its folder: model, handbook, tools and database.

Chat and server talk to the customer through this one class, and its loop is that of the
evaluation.
"""

import bisect
import contextlib
import math
from pathlib import Path

from specialist.agent import react
from specialist.agent.policies import Model, Turn
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
    """A model that may write only `left` more tokens, over all its turns."""

    left = math.inf

    def turn(self, messages):
        if self.left <= 0:
            return Turn("", cut="token_limit")
        most = self.max_new_tokens
        self.max_new_tokens = min(most, self.left)
        try:
            turn = super().turn(messages)
        finally:
            self.max_new_tokens = most
        self.left -= turn.generated_tokens
        return turn


class Specialist:
    """An agent on its own copy of the database, for one customer.

    Args:
        folder: a release; see workflow/scripts/release/make_release.py.
        session: values for the tools' SQL that differ from the release's own, such as
            {"customer_id": "3"}; texts, which are converted to the types of the release's own.
        threads: CPU threads.
        said, acted: see `specialist.agent.policies.Model` and `specialist.agent.loop.Agent`.

    Raises:
        UserError: the folder is no release or damaged, or the session has another key than its
            tools take.
    """

    def __init__(self, folder, session=None, *, threads=1, said=None, acted=None):
        from specialist.agent.loop import Agent
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
            self.database = opened.enter_context(contextlib.closing(self._original.copy()))
            search = None
            if parts[INDEX]:
                found = open_index(
                    folder / INDEX, self.settings["top_k"], self.settings.get("search")
                )
                search = opened.enter_context(found).search
            with reading(folder / "model.gguf"):
                runtime = Runtime(folder / "model.gguf", self.settings["context"], threads)
                self.model = Bounded.with_tools(
                    opened.enter_context(runtime),
                    self.system,
                    offered,
                    self.settings["max_new_tokens"],
                    said,
                )
            self.agent = Agent(
                self.model, self.system, offered, self.settings["max_steps"], search, acted
            )
            self._open = opened.pop_all()

    def reply(self, history, message, limit=None):
        """Let the agent act on a message and answer it.

        An exception from `said` or `acted` passes through; the database is then as before.

        Args:
            history: list of exchanges before it, each a list of {"role", "content"}. The oldest
                are left out if they would take more than half of the context.
            message: text of the customer.
            limit: most tokens of all turns together; None for the agent's own limits.

        Returns:
            (`specialist.agent.loop.Trace`, messages of the new exchange)

        Raises:
            ContextFull: the message leaves no room for a turn.
        """
        from specialist.agent.environment import changes, dump
        from specialist.agent.loop import Trace

        messages = self._told(history, message)
        trace, start = Trace("chat", "chat", messages), len(messages) - 1
        with contextlib.closing(self.database.copy()) as before:
            try:
                self.model.left = math.inf if limit is None else limit
                self.model.begin(None)
                self.agent.answer(trace, self.database, self.session)
            except BaseException:
                before.backup(self.database)
                raise
            trace.changes = changes(dump(before), dump(self.database))
        return trace, trace.messages[start:]

    def _told(self, history, message):
        """The conversation that the agent reads: as much of it, from its end, as there is room for.

        The work depends on what fits and not on how long the history is.
        """
        system, asked = (
            {"role": role, "content": text}
            for role, text in (("system", self.system), ("user", message))
        )

        def told(count):
            exchanges = history[len(history) - count :]
            return [system, *(turn for exchange in exchanges for turn in exchange), asked]

        context = self.settings["context"]
        room = context - self.settings["max_new_tokens"]
        if (tokens := len(self.model.chat.ids([system, asked]))) > room:
            raise ContextFull(f"{tokens} tokens with the system message, expected at most {room}")

        def too_long(count):
            return len(self.model.chat.ids(told(count))) > context // 2

        most = 1
        while most <= len(history) and not too_long(most):
            most *= 2
        counts = range(most // 2 + 1, min(most, len(history) + 1))
        return told(most // 2 + bisect.bisect_left(counts, True, key=too_long))

    def reset(self):
        """Make the database again."""
        self._original.backup(self.database)

    def close(self):
        """Free the models and forget the copy of the database."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def told(question, answer):
    """An exchange as the agent would have had it, from question and answer alone."""
    answer = react.write_answer("answered", " ".join(answer.split()) or "-")
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


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
