"""Serves a released specialist on this machine: a chat page, and OpenAI's completions.

The page is http://127.0.0.1:8000, and the address for clients http://127.0.0.1:8000/v1. Each
conversation has its own copy of the database, in memory.
"""

import sys

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # a release holds what it was released with

from chat import arguments, count, session

from specialist.core.errors import UserError
from specialist.release.terminal import warn


def main():
    parser = arguments(__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1")
    parser.add_argument("--parallel", type=count, default=4,
                        help="requests that the model answers at the same time")  # fmt: skip
    parser.add_argument("--waiting", type=int, default=8, help="largest number of waiting requests")
    parser.add_argument("--conversations", type=count, default=64,
                        help="conversations to remember; the oldest are forgotten")  # fmt: skip
    parser.add_argument("--minutes", type=count, default=30,
                        help="minutes until an unused conversation is forgotten")  # fmt: skip
    parser.add_argument("--choose-session", action="store_true",
                        help="let clients choose their session by metadata; only for clients "
                        "that check who their customer is")  # fmt: skip
    parser.add_argument("--allow-grammar", action="store_true",
                        help="let clients bring grammars for text completions; only for programs "
                        "that you trust, as some grammars never finish")  # fmt: skip
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help="another name in the address that clients use")  # fmt: skip
    given = parser.parse_args()
    if not 0 <= given.port <= 65535 or given.waiting < 0:
        parser.error("expected a port of 0 to 65535, and at least 0 requests that wait")
    import uvicorn

    from specialist.release.guard import LOOPBACK, options
    from specialist.release.serving import Server, application

    try:
        server = Server(
            given.folder,
            session(given.session),
            threads=given.threads,
            parallel=given.parallel,
            waiting=given.waiting,
            conversations=given.conversations,
            seconds=60 * given.minutes,
            choose_session=given.choose_session,
            grammars=given.allow_grammar,
        )
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    warn(server.specialist.settings, sys.stderr)
    app = application(server, [*LOOPBACK, *map(str.lower, given.allow_host)])
    uvicorn.run(app, host="127.0.0.1", port=given.port, **options())


if __name__ == "__main__":
    main()
