"""A released specialist, opened from its folder: model, handbook, tools and database.

Chat and server talk to the customer through this one class, and its loop is that of the
evaluation.
"""

import contextlib
import json
from pathlib import Path

from specialist.agent import react
from specialist.core.errors import UserError

SETTINGS = "release.json"


def offered_tools(tools, search):
    """The tools that an agent is told of.

    Args:
        tools: tools.yaml, or nothing.
        search: whether it can search.
    """
    import yaml

    from specialist.agent.environment import SEARCH

    entries = yaml.safe_load(Path(tools).read_text(encoding="utf-8")) if tools else []
    return [SEARCH, *entries] if search else entries


class ContextFull(Exception):
    """A message that leaves the agent no room to answer."""


class Index:
    """Search over the canonical index of a release, exact and without a vector store.

    Args:
        folder: holds chunks.jsonl, embeddings.npy, embeddings.json, encoder.gguf, and
            shift.npy where the index learned from conversations.
        top_k: chunks that a search returns.
    """

    def __init__(self, folder, top_k):
        import numpy as np

        from specialist.rag.embedding import LlamaEncoder
        from specialist.rag.retrieval import read_chunks

        self.top_k, shift = top_k, folder / "shift.npy"
        self._chunks = read_chunks(folder / "chunks.jsonl")
        self._vectors = np.load(folder / "embeddings.npy", allow_pickle=False)
        self._shift = np.load(shift, allow_pickle=False) if shift.exists() else None
        settings = json.loads((folder / "embeddings.json").read_text(encoding="utf-8"))
        self._encoder = LlamaEncoder(folder / "encoder.gguf", settings)

    def search(self, query):
        """The nearest chunks, best first: list of {"id", "source", "title", "text"}."""
        from specialist.rag.retrieval import shifted

        vectors = self._encoder.queries([query])
        if self._shift is not None:
            vectors = shifted(vectors, self._shift)
        scores = self._vectors @ vectors[0]
        return [self._chunks[number] for number in (-scores).argsort(kind="stable")[: self.top_k]]

    def close(self):
        self._encoder.close()


class Specialist:
    """An agent on its own copy of the database, for one customer.

    Args:
        folder: a release; see workflow/scripts/make_release.py.
        session: values for the tools' SQL that differ from the release's own, such as
            {"customer_id": 3}.
        threads: CPU threads.
        said, acted: see `specialist.agent.policies.Model` and `specialist.agent.loop.Agent`.

    Raises:
        UserError: the folder is no release, or the session has another key than its tools take.
    """

    def __init__(self, folder, session=None, *, threads=1, said=None, acted=None):
        from specialist.agent.environment import open_database
        from specialist.agent.loop import Agent
        from specialist.agent.policies import Model
        from specialist.core.prompt import system_message
        from specialist.gguf.runtime import Runtime

        folder = Path(folder)
        if not (folder / SETTINGS).is_file():
            raise UserError(f"{folder}: found no {SETTINGS}; name the folder of a release")
        self.settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        self.session = _session(self.settings["session"], session or {})
        tools, database = folder / "tools.yaml", folder / "database.sql"
        index = folder / "index"
        offered = offered_tools(tools if tools.exists() else None, index.exists())
        self.system = system_message(folder / "prompt.jinja", offered)
        with contextlib.ExitStack() as opened:
            script = database.read_text(encoding="utf-8") if database.exists() else ""
            self._original = opened.enter_context(contextlib.closing(open_database(script)))
            self.database = opened.enter_context(contextlib.closing(self._original.copy()))
            search = None
            if index.exists():
                found = Index(index, self.settings["top_k"])
                search = opened.enter_context(contextlib.closing(found)).search
            runtime = Runtime(folder / "model.gguf", self.settings["context"], threads)
            self.model = Model.with_tools(
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

    def reply(self, history, message):
        """Let the agent act on a message and answer it.

        An exception from `said` or `acted` passes through; the database is then as before.

        Args:
            history: list of exchanges before it, each a list of {"role", "content"}. The oldest
                are left out where they would take more than half of the context.
            message: text of the customer.

        Returns:
            (`specialist.agent.loop.Trace`, messages of the new exchange)

        Raises:
            ContextFull: the message leaves no room for a turn.
        """
        from specialist.agent.environment import changes, dump
        from specialist.agent.loop import Trace

        system, asked = (
            {"role": role, "content": text}
            for role, text in (("system", self.system), ("user", message))
        )
        room = self.settings["context"] - self.settings["max_new_tokens"]
        if (tokens := len(self.model.chat.ids([system, asked]))) > room:
            raise ContextFull(f"{tokens} tokens with the system message, expected at most {room}")
        history, messages = list(history), [system, asked]
        while history:
            told = [system, *(turn for exchange in history for turn in exchange), asked]
            if len(self.model.chat.ids(told)) <= self.settings["context"] // 2:
                messages = told
                break
            history.pop(0)
        trace, start = Trace("chat", "chat", messages), len(messages) - 1
        with contextlib.closing(self.database.copy()) as before:
            try:
                self.model.begin(None)
                self.agent.answer(trace, self.database, self.session)
            except BaseException:
                before.backup(self.database)
                raise
            trace.changes = changes(dump(before), dump(self.database))
        return trace, trace.messages[start:]

    def reset(self):
        """Make the database anew."""
        self._original.backup(self.database)

    def close(self):
        """Free the models and forget the copy of the database."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def told(question, answer):
    """An exchange of which only question and answer are known, as the agent would have had it."""
    answer = react.write_answer("answered", " ".join(answer.split()) or "-")
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _session(own, given):
    """The values of a session, with the types of the release's own."""
    values = dict(own)
    for name, text in given.items():
        if name not in own:
            known = ", ".join(own) or "nothing"
            raise UserError(f"session {name}: found this name, expected {known}")
        try:
            values[name] = type(own[name])(text)
        except ValueError:
            kind = type(own[name]).__name__
            raise UserError(f"session {name}: found {text!r}, expected {kind}") from None
    return values
