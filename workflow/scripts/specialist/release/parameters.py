"""The body of a request in OpenAI's form: parameters that all addresses of the server share."""

import json
import math
from collections import Counter

LARGEST = 1_000_000  # bytes of a request
LIMITS = ("max_completion_tokens", "max_tokens")


class Refused(Exception):
    """A request that gets an error in OpenAI's form.

    Args:
        status: of HTTP.
        text: what is wrong and how to fix it.
        param: the parameter that is wrong.
        code: OpenAI's word for the error.
        retry: seconds after which the client may ask again, or None.
    """

    def __init__(self, status, text, *, param=None, code=None, retry=None):
        super().__init__(text)
        self.status, self.param, self.code, self.retry = status, param, code, retry

    def headers(self):
        """Headers of the response, besides those of its body."""
        return {} if self.retry is None else {"retry-after": str(self.retry)}

    def body(self):
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def json_object(data):
    """The JSON object in the bytes of a body; a key of it may not be given twice."""
    try:
        body = json.loads(
            data, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_unique
        )
        # Half of a pair of surrogates is not text.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"request: expected a JSON object: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, f"request: found {show(body)}, expected a JSON object")
    return body


def _unique(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{show(name)} is given twice; remove one of them")
    return found


def _finite(number):
    if not math.isfinite(value := float(number)):
        raise ValueError(f"found {number}, expected a finite number")
    return value


def show(value):
    """A value of a request for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}..."


def same(value, other):
    """Whether two values are equal, and both or neither is true or false."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def wrong(place, value, expected, code="invalid_value"):
    """The `Refused` for a value that is not as expected."""
    text = f"{place}: found {show(value)}, expected {expected}"
    return Refused(400, text, param=place, code=code)


def typed(body, key, kind, words, place=""):
    """A value of an object, or None without one; it must have a type."""
    value = body.get(key)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if value is None or (fits and isinstance(value, bool) == (kind is bool)):
        return value
    raise wrong(f"{place}{key}", value, words)


def usage_wanted(body, stream):
    """Whether a stream must end with the numbers of tokens."""
    options = typed(body, "stream_options", dict, "an object") or {}
    place = "stream_options."
    usage = typed(options, "include_usage", bool, "true or false", place) or False
    for key, value in options.items():
        # OpenAI pads events on request, to hide the lengths of encrypted ones.
        if key != "include_usage" and not (key == "include_obfuscation" and value in (None, False)):
            raise wrong(f"{place}{key}", value, "only include_usage", "unsupported_parameter")
    if usage and not stream:
        raise wrong("stream_options", options, 'it only with "stream": true')
    return usage


def limit_of(body):
    """Most tokens to write, or None."""
    given = {key: body[key] for key in LIMITS if key in body}
    for key in given:
        if typed(given, key, int, "a whole number, at least 1") < 1:
            raise wrong(key, given[key], "a whole number, at least 1")
    return min(given.values(), default=None)


def stops_of(body):
    """Texts at which the answer ends."""
    stops = body.get("stop", [])
    stops = [stops] if isinstance(stops, str) else stops
    valid = isinstance(stops, list) and all(isinstance(text, str) and text for text in stops)
    if not valid or len(stops) > 4:
        raise wrong("stop", body["stop"], "a text or a list of at most 4 texts, none empty")
    return tuple(stops)


def refuse_others(body, taken, only):
    """Refuse parameters that the server does not know, and values that it cannot use.

    Args:
        body: dict of a request.
        taken: names of the parameters that it knows.
        only: {name: (list of its only values, why)}.

    Raises:
        Refused: names the first of them.
    """
    for key in body:
        if key not in taken:
            text = f"{key}: this server does not know the parameter; leave it out"
            raise Refused(400, text, param=key, code="unsupported_parameter")
    for key, (values, why) in only.items():
        if key in body and not any(same(body[key], value) for value in values):
            expected = " or ".join(map(json.dumps, values))
            text = f"{key}: found {show(body[key])}, expected {expected}, as {why}; leave it out"
            raise Refused(400, text, param=key, code="unsupported_value")


def refuse_model(body, name):
    """Refuse a request for another model than the server's.

    Raises:
        Refused: it names another one.
    """
    if (asked := body.get("model", name)) != name:
        text = f"model: found {show(asked)}, expected {name}"
        raise Refused(404, text, param="model", code="model_not_found")


def checked(data, name, taken, only, free):
    """The keys of a request's body that have a value, as a dict.

    Args:
        data: bytes of the body.
        name: the model's.
        taken, only: see `refuse_others`.
        free: {key: (type, the type in words)} of keys without effect.

    Raises:
        Refused: the body is no JSON object, or has a key or a value that cannot be taken.
    """
    body = {key: value for key, value in json_object(data).items() if value is not None}
    refuse_others(body, taken, only)
    for key, (kind, words) in free.items():
        typed(body, key, kind, words)
    refuse_model(body, name)
    return body
