"""OpenAI's text completions: only the specialist's model, without the loop, its tools and rules.

A program that has the loop itself asks for one turn here, such as the evaluation of this project
(`engine` of a system). The prompt is text or token ids, and a grammar may hold the text to a form.
"""

from dataclasses import dataclass

from specialist.release.crew import Ask
from specialist.release.parameters import (
    Refused,
    checked,
    limit_of,
    show,
    stops_of,
    typed,
    usage_wanted,
    wrong,
)
from specialist.release.work import Work, before_stop

MOST = 16  # tokens without `max_tokens`, as of OpenAI
LONGEST_GRAMMAR = 100_000  # characters
LONGEST_TOKEN = 32  # characters of a token that are expected at most on average
GREEDY = "the model decodes greedily"
# Parameters with a single allowed value, because the model can do nothing else.
ONLY = {
    "n": ([1], "one text is written for a request"),
    "best_of": ([1], "one text is written for a request"),
    "temperature": ([0], GREEDY),
    "frequency_penalty": ([0], GREEDY),
    "presence_penalty": ([0], GREEDY),
    "logit_bias": ([{}], GREEDY),
    "logprobs": ([], "no probabilities are returned"),
    "echo": ([False], "only the new text is returned"),
    "suffix": ([""], "text is written at the end only"),
}
# Parameters that greedy decoding satisfies with any value, or that only label a request.
FREE = {"top_p": (float, "a number"), "seed": (int, "a whole number"), "user": (str, "text")}
TAKEN = {
    "prompt", "model", "max_tokens", "stream", "stream_options", "stop", "grammar", *ONLY, *FREE,
}  # fmt: skip


@dataclass
class Prompt:
    """The request of a client.

    Attributes:
        ids: the prompt.
        most: tokens that may be written.
        grammar: GBNF with a rule `root` that the text follows, or None.
        stops: texts at which it ends.
        stream: whether the text is sent as it is written.
        usage: whether a stream ends with the numbers of tokens.
    """

    ids: list
    most: int
    grammar: str | None = None
    stops: tuple = ()
    stream: bool = False
    usage: bool = False


@dataclass
class Written:
    """What came of a request: the text, why it ended, and numbers of tokens."""

    text: str
    reason: str
    prompt: int
    evaluated: int
    made: int


def parse_prompt(data, name, runtime, grammars):
    """The request in a body, as a `Prompt`.

    Args:
        data: bytes of the body.
        name: the model's.
        runtime: an open `specialist.gguf.runtime.Runtime`; only its tokens are used.
        grammars: whether a client may bring a grammar. llama.cpp never finishes with some, and all
            other requests wait meanwhile.

    Raises:
        Refused: the request is malformed, or asks for what the model cannot do.
    """
    body = checked(data, name, TAKEN, ONLY, FREE)
    stream = typed(body, "stream", bool, "true or false") or False
    grammar = typed(body, "grammar", str, "text in llama.cpp's GBNF")
    if grammar is not None and not grammars:
        text = "grammar: only a server that was started with --allow-grammar takes one"
        raise Refused(400, text, param="grammar", code="unsupported_parameter")
    if grammar is not None and not 0 < len(grammar) <= LONGEST_GRAMMAR:
        raise wrong("grammar", grammar, f"1 to {LONGEST_GRAMMAR} characters")
    ids = _ids(body.get("prompt"), runtime)
    most = min(limit_of(body) or MOST, runtime.context - len(ids))
    return Prompt(ids, most, grammar, stops_of(body), stream, usage_wanted(body, stream))


def _ids(prompt, runtime):
    """Token ids of a prompt, which may be text."""
    if isinstance(prompt, str) and prompt:
        if len(prompt) > LONGEST_TOKEN * runtime.context:
            raise _too_long(f"{len(prompt)} characters", runtime)
        ids = runtime.tokenize(prompt)
    elif isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        ids = prompt
        for token in ids:
            if not 0 <= token < runtime.vocabulary:
                raise wrong("prompt", token, f"token ids from 0 to {runtime.vocabulary - 1}")
    else:
        raise wrong("prompt", prompt, "text or a list of token ids, not empty")
    if len(ids) >= runtime.context:
        raise _too_long(f"{len(ids)} tokens", runtime)
    return ids


def _too_long(found, runtime):
    text = f"prompt: found {found}, expected at most {runtime.context - 1} tokens"
    return Refused(400, text, param="prompt", code="context_length_exceeded")


class Completion(Work):
    """One text that the model writes. It ends early if its client leaves."""

    names = "text_completion", "text_completion"
    text, ended_early = "", False

    @staticmethod
    def parse(data, server):
        runtime = server.specialist.model.runtime
        return parse_prompt(data, server.name, runtime, server.grammars)

    def job(self, server):
        request, self.model = self.request, server.specialist.model
        try:
            made = yield Ask(request.ids, request.grammar, request.most, self.heard)
        except ValueError as error:
            text = f"grammar: {str(error).splitlines()[0]}"
            raise Refused(400, text, param="grammar", code="invalid_value") from None
        whole = self.ended_early or (bool(made.new) and self._ends(made.new[-1]))
        if not whole and made.left:
            text = f"grammar: it allows no token after {show(self.text)}, and no end"
            raise Refused(400, text, param="grammar", code="invalid_value")
        usage = made.usage
        return Written(
            before_stop(self.text, request.stops, whole=True),
            "stop" if whole else "length",
            len(request.ids),
            usage.prompt_tokens,
            usage.generated_tokens,
        )

    def heard(self, new):
        """Show the text so far; whether it ends here."""
        text = self.model.runtime.detokenize(new[:-1] if self._ends(new[-1]) else new)
        self.text, stops = text, self.request.stops
        self.ended_early = self.gone.is_set() or any(stop in text for stop in stops)
        if self.request.stream:
            self.show(before_stop(text.rstrip("\ufffd"), stops))
        return self.ended_early

    def _ends(self, token):
        return token == self.model.chat.end or self.model.runtime.ends(token)

    def finish(self, written):
        if self.request.stream:
            self.show(written.text)
        self.put("done", written)

    def opening(self):
        return None

    def part(self, text):
        return {"text": text or ""}

    def whole(self, text):
        return {"text": text}

    def ended(self, written):
        return written.reason

    def tokens(self, written):
        asked, made = written.prompt, written.made
        details = {"cached_tokens": asked - written.evaluated}
        usage = {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}
        return usage | {"prompt_tokens_details": details}
