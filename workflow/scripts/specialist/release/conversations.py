"""The conversations that a server remembers between requests.

A client of OpenAI's chat completions sends the whole conversation each time, without a name. The
server therefore finds a conversation by its messages. Each request works on a copy of the state
after these messages. A repeated request gives the same answer again, and two clients with equal
messages have independent conversations.
"""

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass


@dataclass
class State:
    """A conversation as it was after an exchange.

    Attributes:
        conversation: a `specialist.agent.loop.Conversation`.
        used: when it was last used, in seconds of the clock.
        heads: how many clients have this as their last state, as far as is known.
        busy: how many requests work on it.
        kept: whether it is still remembered.
    """

    conversation: object
    used: float
    heads: int = 0
    busy: int = 0
    kept: bool = True


class Conversations:
    """Remembers a number of states, each for some time after its last use.

    Args:
        most: conversations to remember. The states that they have left behind count as many again.
        seconds: after which one is forgotten.
        clock: function that gives the time in seconds.
    """

    def __init__(self, most, seconds, clock=time.monotonic):
        self.most, self.seconds, self.clock, self.states = most, seconds, clock, {}

    @contextlib.contextmanager
    def find(self, session, history):
        """The conversation with exactly these messages, or None.

        It stays open inside the block, even if it is forgotten there.

        Args:
            session: dict of the session's values.
            history: list of (message, what the client has read).
        """
        self.forget()
        state = self.states.pop(key(session, history), None)
        if state is None:
            yield None
            return
        self.states[key(session, history)] = state  # the dict's order is that of use
        state.used = self.clock()
        state.busy += 1
        try:
            yield state.conversation
        finally:
            state.busy -= 1
            self._close(state)

    def keep(self, session, history, conversation):
        """Remember a conversation after its newest exchange, the last one of the history."""
        before = self.states.get(key(session, history[:-1])) if len(history) > 1 else None
        if before:
            before.heads -= 1
        name = key(session, history)
        old = self.states.pop(name, None)
        self.states[name] = State(conversation, self.clock(), 1 + (old.heads if old else 0))
        if old:
            old.kept = False
            self._close(old)
        self._make_room()

    def forget(self):
        """Forget states that were not used for too long."""
        end = self.clock() - self.seconds
        for name in [name for name, state in self.states.items() if state.used < end]:
            self._drop(name)

    def close(self):
        """Forget everything."""
        for name in list(self.states):
            self._drop(name)

    def _make_room(self):
        """Forget the least recently used, of those left behind and of the others."""
        for left_behind in (True, False):
            names = [n for n, state in self.states.items() if (state.heads <= 0) == left_behind]
            for name in names[: max(0, len(names) - self.most)]:
                self._drop(name)

    def _drop(self, name):
        state = self.states.pop(name)
        state.kept = False
        self._close(state)

    def _close(self, state):
        """Close a conversation that is neither remembered nor worked on."""
        if not state.kept and not state.busy:
            state.conversation.close()


def key(session, history):
    """A digest of a session and of what was said, blanks aside."""
    said = [[" ".join(text.split()) for text in exchange] for exchange in history]
    text = json.dumps([session, said], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()
