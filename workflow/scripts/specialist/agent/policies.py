"""Policies that choose the agent's next turn: a model, a script, or chance."""

import contextlib
import random
import re
from dataclasses import dataclass

from specialist.agent import react
from specialist.agent.customer import requests
from specialist.core.errors import UserError


@dataclass
class Turn:
    """An assistant's turn.

    Attributes:
        text: what it says, without control tokens.
        cut: None, or the limit that ended it too early: "context_overflow", "token_limit".
        prompt_tokens: tokens evaluated before the turn; those in the cache are not counted.
        generated_tokens: tokens of the turn, its end included.
        prompt_s, generated_s: seconds for both.
    """

    text: str
    cut: str | None = None
    prompt_tokens: int = 0
    generated_tokens: int = 0
    prompt_s: float = 0.0
    generated_s: float = 0.0


class Policy:
    """What chooses the agent's next turn.

    Attributes:
        count: function from messages to their number of tokens as a prompt; None without a model.
        room: most tokens of a prompt that leaves room for a whole turn; None without a model.
    """

    count, room = None, None

    def begin(self, task, trial=0):
        """Get ready for an episode.

        Args:
            task: a row of the tasks, or None in a release.
            trial: number of the run of this task.
        """

    def turn(self, messages):
        """The assistant's next turn in a conversation, as a `Turn`."""
        raise NotImplementedError


class Model(Policy):
    """A language model that decodes greedily, held to the form of a turn by a grammar.

    Args:
        runtime: an open `specialist.gguf.runtime.Runtime`.
        system: the system message, evaluated once for all episodes.
        grammar: function from the messages so far to the GBNF of the next turn.
        max_new_tokens: most tokens of a turn.
        said: None, or a function that is given the text of a turn after each token, as far as
            it is written. What it raises ends the turn.
    """

    def __init__(self, runtime, system, grammar, max_new_tokens, said=None):
        from specialist.core.prompt import Chat

        self.runtime, self.grammar, self.max_new_tokens = runtime, grammar, max_new_tokens
        self.said = said
        self.chat = Chat(runtime)
        self.prefix = self.chat.prefix(system)
        self.room = runtime.context - max_new_tokens

    @classmethod
    def with_tools(cls, runtime, system, tools, max_new_tokens, said=None, *, quote=True):
        """The same with the grammar of some tools, as the model's template opens a turn.

        Args:
            quote: whether arguments that the customer must have said are quotations; see
                `specialist.agent.grammar`.
        """
        from specialist.agent.grammar import TurnGrammar
        from specialist.core.prompt import Chat

        blank = bool(Chat(runtime).lead) or runtime.opens_with_blank
        return cls(runtime, system, TurnGrammar(tools, blank, quote), max_new_tokens, said)

    def count(self, messages):
        return len(self.chat.ids(messages))

    def grammar_of(self, messages):
        """GBNF of the next turn in a conversation."""
        return self.grammar(messages)

    def begin(self, task, trial=0):
        self.runtime.start(self.prefix)

    def turn(self, messages):
        from specialist.gguf.runtime import ContextOverflow, Usage

        self.runtime.usage = usage = Usage()
        prompt, new = self.chat.ids(messages), []
        ends = (self.chat.end,)
        stream = self.runtime.stream(prompt, self.grammar_of(messages), self.max_new_tokens, ends)
        try:
            with contextlib.closing(stream):
                for token in stream:
                    new.append(token)
                    if self.said and not self._ends(token):
                        self.said(self.runtime.detokenize(new).lstrip(" "))
        except ContextOverflow:
            return Turn("", cut="context_overflow")
        return self.written(new, len(prompt), usage)

    def written(self, new, prompt, usage):
        """A generated turn as a `Turn`.

        Args:
            new: its ids, with the token that ended it, if one did.
            prompt: number of ids before it.
            usage: `specialist.gguf.runtime.Usage` of the turn.
        """
        cut = None
        if self._ends(new[-1]):
            new = new[:-1]
        elif prompt + len(new) >= self.runtime.context:
            cut = "context_overflow"
        else:
            cut = "token_limit"
        return Turn(
            self.runtime.detokenize(new).lstrip(" "),
            cut,
            usage.prompt_tokens,
            usage.generated_tokens,
            usage.prompt_seconds,
            usage.generated_seconds,
        )

    def _ends(self, token):
        return token == self.chat.end or self.runtime.ends(token)


class Scripted(Policy):
    """Plays the steps of each request's solution in order, whatever their results are."""

    def begin(self, task, trial=0):
        steps = [step for solution in solutions(task) for step in solution]
        self.steps = iter(steps)

    def turn(self, messages):
        return written(next(self.steps, None))


class Repeat(Policy):
    """Plays the solution of the first request, up to its first answer, for each message.

    It shows what a policy can solve that knows one procedure and does not listen.
    """

    def begin(self, task, trial=0):
        self.solution, self.steps = next(solutions(task)), iter(())

    def turn(self, messages):
        if messages[-1]["role"] == "user":
            self.steps = iter(self.solution)
        return written(next(self.steps, None))


def solutions(task):
    """Yield the solution of each request of a task: a list of steps.

    Raises:
        UserError: there is none.
    """
    for number, request in enumerate(requests(task)):
        if "solution" not in request:
            place = f", requests[{number}]" if "requests" in task else ""
            raise UserError(
                f"task {task['id']}{place}: found no `solution`, expected one for the scripted "
                "policies; add it, or remove the systems with these policies from the configuration"
            )
        yield request["solution"]


def written(step):
    """A step of a solution as a `Turn`; an empty turn for None."""
    if step is None:
        return Turn("")
    if "answer" in step:
        return Turn(react.write_answer(step["thought"], step["answer"]))
    return Turn(react.write_action(step["thought"], step["call"], step.get("arguments", {})))


class Random(Policy):
    """Calls a tool or answers, each as likely, with arguments drawn by their types.

    Texts are one to three words in a row from the conversation, whole numbers lie between 0
    and 100, and an answer is a sentence of the conversation. It shows what a policy can solve
    that knows only the form.

    Args:
        tools: list of {"name", "parameters": JSON schema}.
        seed: of all episodes; each draws from its own generator, whatever the order.
    """

    def __init__(self, tools, seed):
        self.tools, self.seed = tools, seed

    def begin(self, task, trial=0):
        again = f"/{trial}" if trial else ""
        self.random = random.Random(f"{self.seed}/{task['id']}{again}")

    def turn(self, messages):
        # The system message is not part of the conversation.
        texts = [message["content"] for message in messages if message["role"] in ("user", "tool")]
        tool = self.random.choice([None, *self.tools])
        if tool is None:
            sentences = [part for text in texts for part in re.split(r"(?<=[.!?])\s+", text)]
            return Turn(
                react.write_answer("chance", " ".join(self.random.choice(sentences).split()))
            )
        words = re.findall(r"\w+", " ".join(texts))
        arguments = {
            name: self._value(schema, words)
            for name, schema in tool["parameters"].get("properties", {}).items()
        }
        return Turn(react.write_action("chance", tool["name"], arguments))

    def _value(self, schema, words):
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        match schema.get("type"):
            case "integer":
                return self.random.randint(0, 100)
            case "number":
                return round(self.random.uniform(0, 100), 2)
            case "boolean":
                return self.random.random() < 0.5
            case "array":
                return [self._value(schema.get("items", {}), words)]
            case "object":
                parts = schema.get("properties", {})
                return {name: self._value(part, words) for name, part in parts.items()}
        count = self.random.randint(1, 3)
        start = self.random.randrange(max(1, len(words) - count + 1))
        return " ".join(words[start : start + count])
