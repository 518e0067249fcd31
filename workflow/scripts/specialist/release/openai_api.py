"""Requests for OpenAI's chat completions: accepted and rejected parameters.

The agent has its own system message, tools and way of decoding. An unsupported parameter
is refused, and never ignored.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass, field

from specialist.core.errors import UserError
from specialist.release.deployment import ContextFull

LARGEST = 1_000_000  # bytes of a request
GREEDY = "the agent decodes greedily"
OWN_TOOLS = "the agent uses its own tools"
# Parameters with a single allowed value, because the agent can do nothing else.
ONLY = {
    "n": ([1], "one answer is written for a request"),
    "temperature": ([0], GREEDY),
    "frequency_penalty": ([0], GREEDY),
    "presence_penalty": ([0], GREEDY),
    "logit_bias": ([{}], GREEDY),
    "logprobs": ([False], "no probabilities are returned"),
    "top_logprobs": ([0], "no probabilities are returned"),
    "tools": ([[]], OWN_TOOLS),
    "functions": ([[]], OWN_TOOLS),
    "tool_choice": (["auto", "none"], OWN_TOOLS),
    "function_call": (["auto", "none"], OWN_TOOLS),
    "response_format": ([{"type": "text"}], "an answer is plain text"),
    "modalities": ([["text"]], "an answer is plain text"),
    "store": ([False], "no conversation is stored"),
    "service_tier": (["auto", "default"], "there is one tier"),
}
# Parameters that greedy decoding satisfies with any value, or that only label a request.
FREE = {
    "top_p": (float, "a number"),
    "seed": (int, "a whole number"),
    "parallel_tool_calls": (bool, "true or false"),
    "user": (str, "text"),
    "safety_identifier": (str, "text"),
    "prompt_cache_key": (str, "text"),
    "metadata": (dict, "an object"),
}
LIMITS = ("max_completion_tokens", "max_tokens")
TAKEN = {"messages", "model", "stream", "stream_options", "stop", *LIMITS, *ONLY, *FREE}
UNREAD = {"image_url": "images", "input_audio": "audio", "file": "files"}


class Refused(Exception):
    """A request that gets an error in OpenAI's form.

    Args:
        status: of HTTP.
        text: what is wrong and how to fix it.
        param: the parameter that is wrong.
        code: OpenAI's word for the error.
    """

    def __init__(self, status, text, *, param=None, code=None):
        super().__init__(text)
        self.status, self.param, self.code = status, param, code

    def body(self):
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


@dataclass
class Request:
    """The request of a client.

    Attributes:
        history: list of (message, answer) before the message.
        message: the customer's last message.
        stream: whether the answer is sent as it is written.
        usage: whether a stream ends with the numbers of tokens.
        limit: most tokens that the agent may write, thoughts and calls included; None for its own.
        stops: texts at which the answer ends.
        session: values of the session that the client chooses.
    """

    history: list
    message: str
    stream: bool = False
    usage: bool = False
    limit: int | None = None
    stops: tuple = ()
    session: dict = field(default_factory=dict)


def parse(data, name, sessions=()):
    """The request in a body.

    Args:
        data: bytes of the body.
        name: the model's.
        sessions: names of the session's values that the client may choose.

    Raises:
        Refused: the request is malformed, or asks for what the agent cannot do.
    """
    body = {key: value for key, value in _json(data).items() if value is not None}
    for key in body:
        if key not in TAKEN:
            text = f"{key}: this server does not know the parameter; leave it out"
            raise Refused(400, text, param=key, code="unsupported_parameter")
    for key, (values, why) in ONLY.items():
        if key in body and not any(_same(body[key], value) for value in values):
            expected = " or ".join(map(json.dumps, values))
            text = f"{key}: found {_show(body[key])}, expected {expected}, as {why}; leave it out"
            raise Refused(400, text, param=key, code="unsupported_value")
    for key, (kind, words) in FREE.items():
        _typed(body, key, kind, words)
    if (asked := body.get("model", name)) != name:
        text = f"model: found {_show(asked)}, expected {name}"
        raise Refused(404, text, param="model", code="model_not_found")
    stream = _typed(body, "stream", bool, "true or false") or False
    history, message = conversation(body.get("messages"))
    session = {key: value for key, value in body.get("metadata", {}).items() if key in sessions}
    limit, stops = _limit(body), _stops(body)
    return Request(history, message, stream, _usage(body, stream), limit, stops, session)


def _json(data):
    try:
        body = json.loads(
            data, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_unique
        )
        # Half of a pair of surrogates is not text.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"request: expected a JSON object: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, f"request: found {_show(body)}, expected a JSON object")
    return body


def _unique(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{_show(name)} is given twice; remove one of them")
    return found


def _finite(number):
    if not math.isfinite(value := float(number)):
        raise ValueError(f"found {number}, expected a finite number")
    return value


def _show(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _same(value, other):
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _wrong(place, value, expected, code="invalid_value"):
    text = f"{place}: found {_show(value)}, expected {expected}"
    return Refused(400, text, param=place, code=code)


def _typed(body, key, kind, words, place=""):
    """A value of an object, or None without one; it must have a type."""
    value = body.get(key)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if value is None or (fits and isinstance(value, bool) == (kind is bool)):
        return value
    raise _wrong(f"{place}{key}", value, words)


def _usage(body, stream):
    options = _typed(body, "stream_options", dict, "an object") or {}
    place = "stream_options."
    usage = _typed(options, "include_usage", bool, "true or false", place) or False
    for key, value in options.items():
        # OpenAI pads events on request, to hide the lengths of encrypted ones.
        if key != "include_usage" and not (key == "include_obfuscation" and value in (None, False)):
            raise _wrong(f"{place}{key}", value, "only include_usage", "unsupported_parameter")
    if usage and not stream:
        raise _wrong("stream_options", options, 'it only with "stream": true')
    return usage


def _limit(body):
    given = {key: body[key] for key in LIMITS if key in body}
    for key in given:
        if _typed(given, key, int, "a whole number, at least 1") < 1:
            raise _wrong(key, given[key], "a whole number, at least 1")
    return min(given.values(), default=None)


def _stops(body):
    stops = body.get("stop", [])
    stops = [stops] if isinstance(stops, str) else stops
    valid = isinstance(stops, list) and all(isinstance(text, str) and text for text in stops)
    if not valid or len(stops) > 4:
        raise _wrong("stop", body["stop"], "a text or a list of at most 4 texts, none empty")
    return tuple(stops)


def conversation(messages):
    """(exchanges before, the customer's last message) of a request's messages.

    Messages of one role that follow each other become one, and a greeting before the first
    question is left out: the agent was trained on a question and then an answer.
    """
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", messages, "a list of at least one message")
    turns = []
    for number, message in enumerate(messages):
        role, content = _message(f"messages.{number}", message)
        if not content.strip():
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].append(content)
        else:
            turns.append((role, [content]))
    if not turns or turns[-1][0] != "user":
        text = "messages: expected that the last one is the user's, and not empty"
        raise Refused(400, text, param="messages", code="invalid_value")
    if turns[0][0] == "assistant":  # a greeting
        turns.pop(0)
    texts = ["\n".join(contents) for _, contents in turns]
    return list(zip(texts[:-1:2], texts[1::2], strict=True)), texts[-1]


def _message(place, message):
    """(role, text) of a message."""
    if not isinstance(message, dict):
        raise _wrong(place, message, "a message with role and content")
    message = {key: value for key, value in message.items() if value not in (None, [], {})}
    role = message.get("role")
    if role not in ("user", "assistant"):
        why = {
            "system": "; the agent has a system message of its own: leave yours out",
            "developer": "; the agent has a system message of its own: leave yours out",
            "tool": "; the agent calls its own tools: leave out calls and results",
            "function": "; the agent calls its own tools: leave out calls and results",
        }
        hint = why.get(role, "") if isinstance(role, str) else ""
        raise _wrong(f"{place}.role", role, f"user or assistant{hint}")
    for key in message:
        if key not in ("role", "content"):
            expected = "only role and content; leave it out"
            raise _wrong(f"{place}.{key}", message[key], expected, "unsupported_parameter")
    content = message.get("content", "" if role == "assistant" else None)
    if isinstance(content, list):
        parts = [_part(f"{place}.content.{number}", part) for number, part in enumerate(content)]
        return role, "\n".join(parts)
    if not isinstance(content, str):
        raise _wrong(f"{place}.content", content, "text, or a list of text parts")
    return role, content


def _part(place, part):
    """The text of a part of a message."""
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(kind, str) and kind in UNREAD:
        text = f"{place}: {UNREAD[kind]} are not read; send text parts only"
        raise Refused(400, text, param=place, code="unsupported_value")
    known = isinstance(part, dict) and part.keys() == {"type", "text"}
    if not known or kind != "text" or not isinstance(part["text"], str):
        raise _wrong(place, part, '{"type": "text", "text": "..."}')
    return part["text"]


def failure(error):
    """The `Refused` that reports an exception in the agent's thread to a client."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, ContextFull):
        code = "context_length_exceeded"
        return Refused(400, f"messages: {error}", param="messages", code=code)
    if isinstance(error, UserError):  # a session that the tools cannot take
        return Refused(400, f"metadata: {error}", param="metadata", code="invalid_value")
    return Refused(500, f"{type(error).__name__}: {error}")
