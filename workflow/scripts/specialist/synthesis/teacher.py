"""The teacher or judge: a language model at an OpenAI-compatible address, or in a local GGUF."""

import contextlib
import json
import re

from specialist.core.completions import MalformedError, Reply, complete

PLACE = "synthesize.teacher"
TRIES = 6  # requests until an address counts as unreachable; with waits of 2, 4, ... seconds
AGAIN = 2  # requests for one reply whose form is wrong
THOUGHT = re.compile(r"^\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


@contextlib.contextmanager
def open_teacher(teacher, weights, threads, place=PLACE):
    """A `Served` or `Local` teacher.

    Args:
        place: key of the configuration that gives it, for messages.
        teacher: dict of the settings; see `specialist.config.settings.synthesis.Teacher`.
        weights: the GGUF, or an empty list for an address.
        threads: CPU threads of a local model.
    """
    limits = teacher["max_tokens"], teacher["temperature"]
    if not weights:
        yield Served(teacher["url"], teacher["model"], teacher.get("key"), *limits, place)
        return
    from specialist.gguf.runtime import Runtime

    with Runtime(weights, teacher["context"], threads) as runtime:
        yield Local(runtime, teacher["max_tokens"])


class Served:
    """A teacher behind an address.

    Args:
        url: address before /chat/completions.
        model: its name there.
        key: name of the environment variable that holds a key, or None.
        max_tokens: most tokens of a reply.
        temperature: of the sampling.
        place: see `open_teacher`.

    Attributes:
        parallel: requests that may run at the same time.
    """

    parallel = 4

    def __init__(self, url, model, key, max_tokens, temperature, place=PLACE):
        self.url, self.key, self.place = url.rstrip("/"), key, place
        self.body = {"model": model, "max_tokens": max_tokens, "temperature": temperature}

    def ask(self, prompt, seed, choices=()):
        """The reply to one message, as a `specialist.core.completions.Reply`.

        Args:
            choices: the only texts that a local model may reply. An address may reply otherwise:
                not every server takes a grammar.

        Raises:
            UserError: the address does not answer, or refuses the request.
            MalformedError: what it answers is no completion.
        """
        body = {**self.body, "seed": seed, "messages": [{"role": "user", "content": prompt}]}
        for left in reversed(range(AGAIN)):
            try:
                return _plain(complete(self.place, self.url, body, key=self.key, tries=TRIES))
            except MalformedError:
                if not left:
                    raise


class Local:
    """A teacher in a GGUF. It decodes greedily: the seed has no effect.

    Args:
        runtime: an open `specialist.gguf.runtime.Runtime`.
        max_tokens: most tokens of a reply.
    """

    parallel = 1

    def __init__(self, runtime, max_tokens):
        from specialist.core.prompt import Chat

        self.runtime, self.max_tokens, self.chat = runtime, max_tokens, Chat(runtime)

    def ask(self, prompt, seed, choices=()):
        """See `Served.ask`; a prompt that is longer than the context counts as malformed."""
        from specialist.gguf.runtime import ContextOverflow

        ids, end = self.chat.ids([{"role": "user", "content": prompt}]), self.chat.end
        grammar = f"root ::= {' | '.join(map(json.dumps, choices))}" if choices else None
        self.runtime.start([])
        try:
            new = self.runtime.generate(ids, grammar, self.max_tokens, (end,))
        except ContextOverflow as error:
            raise MalformedError(f"the prompt is too long: {error}") from None
        whole = new[-1] == end or self.runtime.ends(new[-1])
        text = self.runtime.detokenize(new[:-1] if whole else new)
        return _plain(Reply(text, whole))


def _plain(reply):
    """The reply without the thoughts of a reasoning model, as one line."""
    return reply._replace(text=" ".join(THOUGHT.sub("", reply.text).split()))
