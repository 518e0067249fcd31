"""A model that another program serves, such as vLLM or llama-server: OpenAI's text completions.

Servers differ in how they take a prompt and a grammar. `Engine.probe` tries the known ways.
"""

import contextlib
import json
from typing import NamedTuple

from specialist.core.completions import MalformedError, RefusedError, request
from specialist.core.errors import UserError

TRIES, PROBES = 6, 2  # requests for one text, with waits of 2, 4, ... seconds; for what is optional
AGAIN = 3  # requests for one text whose form is wrong
VOLATILE = {"created", "permission"}  # of a model's card: they differ from request to request
WORD = "zq7"  # what no model writes by itself
# How servers take a grammar in GBNF, the newest first: llama-server and this project, vLLM today,
# vLLM before 0.12.
GRAMMARS = {
    "grammar": lambda grammar: {"grammar": grammar},
    "structured_outputs": lambda grammar: {"structured_outputs": {"grammar": grammar}},
    "guided_grammar": lambda grammar: {"guided_grammar": grammar},
}
NO_GRAMMAR = "none"


class Completion(NamedTuple):
    """A text completion.

    Attributes:
        text: the new text.
        whole: whether the model ended it itself.
        prompt, made: tokens of the prompt and of the text; None if the server does not report them.
    """

    text: str
    whole: bool
    prompt: int | None
    made: int | None


def identity(place, url, model, *, key=None, tries=PROBES, seconds=10):
    """What an address reports about a model, as a dict; equal as long as it serves the same model.

    Args:
        place, url, key, tries, seconds: see `specialist.core.completions.request`.
        model: its name there.

    Raises:
        UserError: the address does not answer, or has no such model.
    """
    found = _json(place, url, request(place, url, "/models", key=key, tries=tries, seconds=seconds))
    cards = found.get("data") if isinstance(found, dict) else None
    if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
        raise UserError(f"{place}: {url}/models: found no list of models; correct url")
    for card in cards:
        if model in (card.get("id"), *(card.get("aliases") or ())):
            told = {name: value for name, value in card.items() if name not in VOLATILE}
            return told | _version(place, url, card.get("owned_by"), key)
    known = ", ".join(str(card.get("id")) for card in cards) or "none"
    raise UserError(f"{place}: {url}: serves no model {model}; found {known}; correct model")


def _version(place, url, owner, key):
    """{"version": ...} of servers that report it beside /v1."""
    path, name = {"vllm": ("/version", "version"), "llamacpp": ("/props", "build_info")}.get(
        owner, (None, None)
    )
    if path:
        root = url.removesuffix("/v1")
        with contextlib.suppress(UserError, AttributeError):
            told = _json(place, root, request(place, root, path, key=key, tries=1, seconds=10))
            return {"version": told.get(name)}
    return {}


class Engine:
    """An address that continues prompts.

    Args:
        place, url, key: see `specialist.core.completions.request`.
        model: name of the model there.

    Attributes:
        prompt: "ids" or "text", how the address takes a prompt.
        grammar: a name of `GRAMMARS`, or `NO_GRAMMAR`.
    """

    def __init__(self, place, url, model, key=None):
        self.place, self.url, self.model, self.key = place, url.rstrip("/"), model, key
        self.prompt, self.grammar, self._told = "ids", NO_GRAMMAR, None

    def identity(self, tries):
        """What the address reports about the model; see `identity`."""
        return identity(self.place, self.url, self.model, key=self.key, tries=tries)

    def probe(self, ids, text):
        """Find out how the address takes prompts and grammars.

        Args:
            ids, text: the same prompt, as token ids and as text.

        Raises:
            UserError: the address does not continue prompts, or its model has other tokens.
        """
        prompts, found = {"ids": ids, "text": text}, {}
        for name, given in prompts.items():
            with contextlib.suppress(RefusedError):
                found[name] = self._ask(given, 2, None, (), PROBES)
        if not found:
            self._ask(text, 2, None, (), PROBES)  # for its message
        self.prompt = "ids" if "ids" in found else "text"
        counted = found["text"].prompt if "text" in found else None
        # A server may put a token before a text, but not before ids.
        if counted is not None and not 0 <= counted - len(ids) <= 1:
            raise UserError(
                f"{self.place}: {self.url}: counts {counted} tokens in a prompt of {len(ids)}: "
                f"{self.model} has another tokenizer; name its own base or adapter in the system"
            )
        for name in GRAMMARS:
            self.grammar = name
            with contextlib.suppress(UserError):
                told = self._ask(prompts[self.prompt], 8, f'root ::= "{WORD}"', (), PROBES)
                if told.text.strip() == WORD:
                    return
        self.grammar = NO_GRAMMAR

    def complete(self, ids, text, most, grammar=None, stops=(), end=None):
        """The continuation of a prompt, as a `Completion`.

        Args:
            ids, text: see `probe`.
            most: most tokens of the continuation.
            grammar: GBNF that it follows, as far as the address can hold it to one.
            stops: texts at which it ends.
            end: id of the token at which it ends.

        Raises:
            UserError: the address does not answer, refuses the request, or answers with something
                else.
        """
        return self._ask(ids if self.prompt == "ids" else text, most, grammar, stops, TRIES, end)

    def _ask(self, prompt, most, grammar, stops, tries, end=None):
        body = {"model": self.model, "prompt": prompt, "max_tokens": most, "temperature": 0}
        if stops:
            body["stop"] = list(stops)
        # vLLM does not look for control tokens in the text.
        if end is not None and self.grammar not in ("grammar", NO_GRAMMAR):
            body["stop_token_ids"] = [end]
        if grammar and self.grammar != NO_GRAMMAR:
            body |= GRAMMARS[self.grammar](grammar)
        for left in reversed(range(AGAIN)):
            data = request(self.place, self.url, "/completions", body, key=self.key, tries=tries)
            try:
                return self._read(data)
            except MalformedError as error:
                if not left:
                    text = f"{error}; correct url, or look into the server's log"
                    raise UserError(f"{self.place}: {self.url}: {text}") from None

    def _read(self, data):
        try:
            found = json.loads(data)
            choice, usage = found["choices"][0], found.get("usage") or {}
            text, reason, told = choice["text"], choice.get("finish_reason"), found.get("model")
            if not isinstance(text, str) or reason not in ("stop", "length"):
                raise TypeError(f"text is {text!r}, finish_reason {reason!r}"[:200])
            numbers = usage.get("prompt_tokens"), usage.get("completion_tokens")
            if not all(number is None or type(number) is int for number in numbers):
                raise TypeError(f"usage is {usage!r}"[:200])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise MalformedError(f"found no text completion ({error!r})") from None
        self._told = self._told or told
        if told != self._told:
            raise UserError(
                f"{self.place}: {self.url}: {told} answered in place of {self._told}; serve one "
                "model for the whole run, and give the same command again"
            )
        return Completion(text, reason == "stop", *numbers)


def _json(place, url, data):
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: {url}: found no JSON ({error}); correct url") from None
