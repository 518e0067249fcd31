"""Serves a released specialist to any client of OpenAI's chat completions, on this machine.

The address for clients is http://127.0.0.1:8000/v1. The database is a copy in memory, the same for
all requests until the server ends.
"""

import sys

from chat import arguments, session

from specialist.core.errors import UserError


def main():
    parser = arguments(__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1")
    parser.add_argument("--waiting", type=int, default=8, help="most requests that wait")
    given = parser.parse_args()
    import uvicorn

    from specialist.release.serving import Server, application

    try:
        server = Server(
            given.folder, session(given.session), threads=given.threads, waiting=given.waiting
        )
    except UserError as error:
        sys.exit(f"Error: {error}")
    app = application(server, ["127.0.0.1", "localhost"])
    uvicorn.run(app, host="127.0.0.1", port=given.port)


if __name__ == "__main__":
    main()
