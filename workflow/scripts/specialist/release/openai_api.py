"""Requests for OpenAI's chat completions: accepted and rejected parameters.

The agent has its own system message, tools and way of decoding. An unsupported parameter
is refused, and never ignored.
"""

from dataclasses import dataclass, field

from specialist.core.errors import UserError
from specialist.release.deployment import ContextFull
from specialist.release.parameters import (
    LIMITS,
    Refused,
    checked,
    limit_of,
    stops_of,
    typed,
    usage_wanted,
    wrong,
)

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
TAKEN = {"messages", "model", "stream", "stream_options", "stop", *LIMITS, *ONLY, *FREE}
UNREAD = {"image_url": "images", "input_audio": "audio", "file": "files"}


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
    body = checked(data, name, TAKEN, ONLY, FREE)
    stream = typed(body, "stream", bool, "true or false") or False
    history, message = conversation(body.get("messages"))
    session = {key: value for key, value in body.get("metadata", {}).items() if key in sessions}
    limit, stops = limit_of(body), stops_of(body)
    return Request(history, message, stream, usage_wanted(body, stream), limit, stops, session)


def conversation(messages):
    """(exchanges before, the customer's last message) of a request's messages.

    Messages of one role that follow each other become one, and a greeting before the first
    question is left out: the agent was trained on a question and then an answer.
    """
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", messages, "a list of at least one message")
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
        raise wrong(place, message, "a message with role and content")
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
        raise wrong(f"{place}.role", role, f"user or assistant{hint}")
    for key in message:
        if key not in ("role", "content"):
            expected = "only role and content; leave it out"
            raise wrong(f"{place}.{key}", message[key], expected, "unsupported_parameter")
    content = message.get("content", "" if role == "assistant" else None)
    if isinstance(content, list):
        parts = [_part(f"{place}.content.{number}", part) for number, part in enumerate(content)]
        return role, "\n".join(parts)
    if not isinstance(content, str):
        raise wrong(f"{place}.content", content, "text, or a list of text parts")
    return role, content


def _part(place, part):
    """The text of a part of a message."""
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(kind, str) and kind in UNREAD:
        text = f"{place}: {UNREAD[kind]} are not read; send text parts only"
        raise Refused(400, text, param=place, code="unsupported_value")
    known = isinstance(part, dict) and part.keys() == {"type", "text"}
    if not known or kind != "text" or not isinstance(part["text"], str):
        raise wrong(place, part, '{"type": "text", "text": "..."}')
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
