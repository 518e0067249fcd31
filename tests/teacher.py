"""A scripted teacher behind HTTP: a function decides what it answers, and how it fails."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serve(reply):
    """(address, requests so far) of a server.

    Args:
        reply: function from (prompt, number of the request) to a text; or to (status, headers,
            body), sent as it is; or to None: the connection is closed without an answer.
    """
    asked, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked.append({"key": self.headers["Authorization"], **body})
                number = len(asked)
            said = reply(body["messages"][0]["content"], number)
            if said is None:
                self.close_connection = True
                return
            status, headers, data = (200, {}, completion(said)) if isinstance(said, str) else said
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(text, ended="stop"):
    """The body of a chat completion."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": ended}
    return json.dumps({"choices": [choice]})
