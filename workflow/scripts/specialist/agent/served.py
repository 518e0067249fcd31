"""The policy of a model that another program serves, and episodes that wait for it side by side."""

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from specialist.agent.customer import Message
from specialist.agent.policies import Policy, Turn
from specialist.core.errors import UserError
from specialist.core.prompt import Chat


class Served(Policy):
    """A language model behind an `Engine`, held to the form of a turn by a grammar.

    It reads the prompts that `specialist.agent.policies.Model` reads.

    Args:
        engine: a `specialist.core.engines.Engine`.
        tokens: the model's tokenizer; see `specialist.bases.prompts.PromptTokens`.
        system: the system message.
        tools: the tools on offer.
        context: most tokens of a prompt and its turn.
        max_new_tokens: most tokens of a turn.
        quote: see `specialist.agent.policies.Model.with_tools`.
    """

    def __init__(self, engine, tokens, system, tools, context, max_new_tokens, *, quote=True):
        from specialist.agent.grammar import TurnGrammar

        self.engine, self.tokens, self.chat = engine, tokens, Chat(tokens)
        self._lock = threading.Lock()  # Transformers' tokenizers take one caller at a time
        self.context, self.max_new_tokens = context, max_new_tokens
        self.room = context - max_new_tokens
        blank = bool(self.chat.lead) or tokens.opens_with_blank
        self.grammar = TurnGrammar(tools, blank, quote)
        opening = [("system", system), ("user", "Hello")]
        engine.probe(*self._prompt([{"role": role, "content": text} for role, text in opening]))

    def count(self, messages):
        return len(self._prompt(messages)[0])

    def _prompt(self, messages):
        """(token ids, text) of a conversation, open for the next turn."""
        with self._lock:
            ids = self.chat.ids(messages)
            return ids, self.tokens.text(ids)

    def grammar_of(self, messages):
        """GBNF of the next turn in a conversation."""
        return self.grammar(messages)

    def turn(self, messages):
        ids, prompt = self._prompt(messages)
        if len(ids) >= self.context:
            return Turn("", cut="context_overflow")
        if self.engine.prompt == "text":
            self._refuse_control(messages)
        most = min(self.max_new_tokens, self.context - len(ids))
        end = self.chat.end_text
        found = self.engine.complete(
            ids, prompt, most, self.grammar_of(messages), (end,), self.chat.end
        )
        text = found.text.partition(end)[0]  # some servers return the end too
        made = self._length(text) if found.made is None else found.made
        cut = None
        if not found.whole:
            full = len(ids) + made >= self.context
            cut = "context_overflow" if full else "token_limit"
        # Whole prompts are counted: what the server has in its cache depends on the clock.
        return Turn(text.lstrip(" "), cut, len(ids), made)

    def _length(self, text):
        with self._lock:
            return len(self.tokens.tokenize(text, special=False))

    def _refuse_control(self, messages):
        """Refuse what could end a turn or open another one in a prompt that is sent as text."""
        for message in messages:
            for token in self.tokens.control_tokens:
                if token in message["content"]:
                    raise UserError(
                        f"{self.engine.place}: {self.engine.url} takes prompts only as text, and "
                        f"a message holds the control token {token}; use a server that takes "
                        "token ids, as vLLM and llama-server do, or remove it from the task"
                    )


class Replayed:
    """A customer who writes what a trace holds, whatever the agent replies.

    So two runs of a conversation can be compared, also if a language model played the customer.

    Args:
        trace: a row of run_served.
    """

    def __init__(self, trace):
        self._messages = iter([
            Message(each["message"], each["request"], each["source"], each["confirms"])
            for each in trace["exchanges"]
        ])  # fmt: skip

    def opening(self):
        return next(self._messages, None)

    def hear(self, reply):
        return next(self._messages, None)


def side_by_side(episodes, turn, most):
    """Run episodes to their end, several at the same time.

    The episodes run in this thread. Only `turn` runs in others.

    Args:
        episodes: iterable of generators; see `specialist.agent.loop.Agent.episode`.
        turn: function from messages to a `specialist.agent.policies.Turn`.
        most: episodes at the same time.

    Yields:
        (number, what the generator returned), in the order in which they end.
    """
    waiting, running = enumerate(episodes), {}

    def go_on(pool, number, episode, said):
        try:
            running[pool.submit(turn, episode.send(said))] = number, episode
        except StopIteration as end:
            return [(number, end.value)]
        return []

    with ThreadPoolExecutor(most) as pool:
        try:
            while True:
                while len(running) < most and (job := next(waiting, None)):
                    yield from go_on(pool, *job, None)
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield from go_on(pool, *running.pop(future), future.result())
        finally:
            pool.shutdown(cancel_futures=True)


def different_actions(found, expected):
    """(number of actions that differ, number of actions) of two runs of a task.

    Args:
        found, expected: messages of their traces.
    """
    from specialist.agent import react

    both = [
        [_action(react.parse(m["content"])) for m in messages if m["role"] == "assistant"]
        for messages in (found, expected)
    ]
    equal = sum(one == other for one, other in zip(*both, strict=False))
    most = max(map(len, both))
    return most - equal, most


def _action(turn):
    """What a turn does, without its thought."""
    return {name: value for name, value in turn.items() if name != "thought"}
