"""Protects the server from other sites, and from slow or too many connections.

The server has no password. A web page must therefore not reach it through its visitor's browser:
neither with a form or a script, nor with a name that leads to 127.0.0.1.
"""

import json
from urllib.parse import urlsplit

import h11
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from specialist.release.parameters import Refused

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECTIONS = 64  # most open connections; each holds at most one request's bytes
ARRIVAL_SECONDS = 10  # in which a request must arrive, from the opening of its connection


def response(refused):
    """An error's response. It closes the connection, as the request's body may not be read yet."""
    headers = {"connection": "close"} | refused.headers()
    return JSONResponse(refused.body(), refused.status, headers)


class Guard:
    """ASGI middleware that refuses requests that no client on this machine sends.

    Args:
        app: the application.
        hosts: names by which the server may be asked, without ports.
    """

    def __init__(self, app, hosts):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope, receive, send):
        app = self.app
        if scope["type"] == "http" and (refused := self.refusal(scope)):
            app = response(refused)
        await app(scope, receive, send)

    def refusal(self, scope):
        """The `Refused` for a request's headers, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            known = ", ".join(self.hosts)
            text = f"Host: found {host!r}, expected one of {known}; serve.py --allow-host adds one"
            return Refused(400, text, param="Host")
        # A header may occur twice, and other programs may read the other one.
        own = {f"http://{host}", f"https://{host}"}.issuperset(headers.getlist("origin"))
        if not own or not {"none", "same-origin"}.issuperset(headers.getlist("sec-fetch-site")):
            text = "Origin: a page of another site may not use this server; ask it from a program"
            return Refused(403, text, param="Origin")
        kind = ", ".join(headers.getlist("content-type"))
        if scope["method"] == "POST" and _media_type(kind) != "application/json":
            text = f"Content-Type: found {kind!r}, expected application/json"
            return Refused(415, text, param="Content-Type")
        return None


def _name(host):
    """The name in a Host header, without its port; None if it is not valid."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _media_type(header):
    return header.partition(";")[0].strip().lower()


class Patient(H11Protocol):
    """uvicorn's HTTP protocol with a time limit for requests, which uvicorn lacks.

    A request must arrive whole in time, and connections above a number are refused.
    """

    deadline = None

    def connection_made(self, transport):
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            text = f"{CONNECTIONS} connections are open; try again later"
            return self._refuse(Refused(503, text))
        self._watch()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def on_response_complete(self):
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc):
        self._stop()
        super().connection_lost(exc)

    def _watch(self):
        """Run the clock while a request is awaited or incomplete."""
        if self.transport.is_closing() or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(ARRIVAL_SECONDS, self._late)

    def _stop(self):
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _late(self):
        half_read = self.conn.their_state is h11.SEND_BODY
        if self.cycle.response_started if half_read else not self.conn.trailing_data[0]:
            return self.transport.close()  # it has its answer, or never asked
        text = f"the request did not arrive within {ARRIVAL_SECONDS} seconds"
        return self._refuse(Refused(408, text))

    def _refuse(self, refused):
        """Answer on the connection, because there is no complete request."""
        body = json.dumps(refused.body()).encode()
        head = (
            f"HTTP/1.1 {refused.status} Refused\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def options():
    """Keywords for `uvicorn.run` that limit a connection."""
    return {
        "http": Patient,
        "ws": "none",
        "h11_max_incomplete_event_size": 16_384,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": 5,
        "backlog": 128,
        "proxy_headers": False,
        "server_header": False,
    }
