"""A client of an OpenAI-compatible address: one chat completion or other request at a time.

It tries again after a timeout, a lost connection, 429 and 5xx. It waits as long as the address asks
for in `Retry-After`, and otherwise longer with each try.
"""

import datetime
import email.utils
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import NamedTuple

from specialist.core.errors import UserError

SECONDS, TRIES, WAIT = 120, 3, 2.0  # for one request; tries; seconds before the second try
LONGEST_WAIT = 300.0  # seconds before another try, whatever the address asks for
LARGEST = 1_000_000  # bytes of a response


class Reply(NamedTuple):
    """A chat completion: its text, and whether the model ended it itself."""

    text: str
    whole: bool


class RefusedError(UserError):
    """The address refuses a request, and would refuse it again."""


class MalformedError(ValueError):
    """What the address sent is no chat completion."""


def complete(place, url, body, *, key=None, tries=TRIES):
    """A chat completion, as a `Reply`.

    Args:
        place: key of the configuration that gives the address, for messages.
        url: the address before /chat/completions.
        body: the request as a dict.
        key: name of the environment variable that may hold a key for the address.
        tries: most requests.

    Raises:
        UserError: the address does not answer after some tries, or refuses the request.
        MalformedError: it answers with something else.
    """
    return _reply(request(place, url, "/chat/completions", body, key=key, tries=tries))


def request(place, url, path, body=None, *, key=None, tries=TRIES, seconds=SECONDS):
    """The bytes of a response.

    Args:
        place, url, key, tries: see `complete`.
        path: what is asked for below the address.
        body: of a POST, as a dict; None for a GET.
        seconds: to wait for a response.

    Raises:
        RefusedError: the address refuses the request.
        UserError: it does not answer after some tries.
    """
    asking = urllib.request.Request(
        f"{url}{path}",
        None if body is None else json.dumps(body).encode(),
        {} if body is None else {"Content-Type": "application/json"},
    )
    if secret := key and os.environ.get(key):
        asking.add_unredirected_header("Authorization", f"Bearer {secret}")
    for number in range(1, tries + 1):
        asked = None
        try:
            with urllib.request.urlopen(asking, timeout=seconds) as response:
                data = response.read(LARGEST)
                if response.length:  # `read` with a limit does not tell that the rest is missing
                    raise http.client.IncompleteRead(data, response.length)
                return data
        except urllib.error.HTTPError as error:
            passing, why = error.code == 429 or error.code >= 500, f"{error} {_excerpt(error)}"
            asked = _seconds(error.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            passing, why = True, str(error) or type(error).__name__
        if not passing or number == tries:
            hint = f"a key goes into the environment variable {key}" if key else "it gets no key"
            # A server may repeat the key that it refuses.
            why = why.strip().replace(secret, "[key]") if secret else why.strip()
            text = f"{why}; start the server, or correct url and model ({hint})"
            raise (UserError if passing else RefusedError)(f"{place}: {url}: {text}")
        time.sleep(min(WAIT * number if asked is None else asked, LONGEST_WAIT))


def _reply(data):
    try:
        choice = json.loads(data)["choices"][0]
        content, ended = choice["message"]["content"], choice.get("finish_reason")
        if not isinstance(content, str):
            raise TypeError(f"content is {content!r}")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError(f"found no chat completion ({error!r})") from None
    return Reply(content, ended not in ("length", "content_filter"))


def _seconds(header):
    """Seconds in a Retry-After header, which holds a number or a date; None without them."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _excerpt(error):
    try:
        return " ".join(error.read(2_000).decode(errors="replace").split())[:300]
    except (OSError, http.client.HTTPException):
        return ""
