"""A server of a release in a thread of this process."""

import contextlib
import threading
import time

import pytest


@contextlib.contextmanager
def served(release, options=None, **limits):
    """A server in a thread of this process: (port, `Server`)."""
    import uvicorn

    from specialist.release import guard
    from specialist.release.serving import Server, application

    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(guard, name, value)
        server = Server(release, **options or {})
        app = application(server, guard.LOOPBACK)
        config = uvicorn.Config(app, port=0, log_config=None, **guard.options())
        web = uvicorn.Server(config)
        thread = threading.Thread(target=web.run)
        thread.start()
        try:
            wait(lambda: web.started)
            server.open = web.server_state.connections
            yield web.servers[0].sockets[0].getsockname()[1], server
        finally:
            web.should_exit = True
            thread.join()


def wait(happened, seconds=20):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
