"""The page for talking to the specialist in a browser.

It uses the server's conversations and limits. It shows the agent at work, which clients of
OpenAI's chat completions do not see.
"""

from pathlib import Path

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from specialist.release.contents import DATABASE, read_page
from specialist.release.parameters import Refused
from specialist.release.work import OpenWork, event

# Nothing but the page's own files, no page around it, and no text of a customer or a model as HTML.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Page:
    """The page of a server.

    Args:
        server: a `specialist.release.serving.Server`.
        folder: the release.

    Raises:
        UserError: a file of the page is missing.
    """

    def __init__(self, server, folder):
        self.server, self.files = server, read_page(Path(folder))

    def routes(self):
        """The routes of the application that belong to the page."""
        return [
            Route("/", self.file),
            Route("/page/about", self.about),
            Route("/page/ask", self.ask, methods=["POST"]),
            Route("/page/{name}", self.file),
        ]

    async def file(self, http):
        name = http.path_params.get("name", "chat.html")
        if name not in self.files:
            raise Refused(404, f"{name}: the page has no such file")
        data, kind = self.files[name]
        return Response(data, media_type=kind, headers=HEADERS)

    async def about(self, _):
        """The specialist's name, warning and account, and the examples that fit the account."""
        server, specialist = self.server, self.server.specialist
        settings, session = specialist.settings, specialist.session
        examples = settings["examples"]
        # Those of other accounts may hold what only their customers may read.
        usable = [one for one in examples if server.sessions or one["session"] == session]
        about = {
            "name": server.name,
            "notice": settings.get("notice"),
            "session": session,
            "choose": bool(server.sessions),
            "database": DATABASE in settings["parts"],
            "examples": usable,
            "others": len(examples) - len(usable),
        }
        return JSONResponse(about, headers=HEADERS)

    async def ask(self, http):
        """Answer a request of OpenAI's form with the events of the agent's work."""
        work, (kind, value) = await self.server.begin(http, OpenWork)
        events = _events(work, kind, value)
        return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


async def _events(work, kind, value):
    try:
        while kind != "done":
            yield event({kind: value})
            kind, value = await work.next()
    except Refused as error:
        yield event(error.body())
        return
    yield event({"done": _end(value)})


def _end(reply):
    """What a person reads at the end of an exchange, as a dict for JSON."""
    exchange = reply.exchange
    return {
        "text": reply.text,
        "ended": exchange.ended,
        "rule": exchange.rule,
        "said": exchange.said,
        "changes": reply.changes,
        "anew": reply.anew,
    }
