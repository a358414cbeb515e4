"""An HTTP server on loopback that answers as each test scripts it."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "ghs_averylongtokenthatnobodymaysee0123456789"


@dataclass(frozen=True)
class Response:
    """A scripted response.

    Attributes:
        body: sent as JSON, or unchanged if it is bytes.
        failure: "silent" (no response until the test ends), "dropped" (the connection closes) or "half" a body.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Server:
    """Sends the responses of a script one after another, and records the requests."""

    def __init__(self) -> None:
        self.script: list[Response] = []
        self.requests: list[Request] = []
        self.closed = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(size)
                document = json.loads(body) if body else None
                server.requests.append(Request(self.command, self.path, dict(self.headers), document))
                self.respond(server.script.pop(0))

            def respond(self, response: Response) -> None:
                if response.failure == "silent":
                    server.closed.wait()
                if response.failure in ("silent", "dropped"):
                    self.close_connection = True
                    return
                raw = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
                content = b"" if response.body is None else raw
                self.send_response(response.status)
                headers = {"Content-Length": str(len(content)), **response.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if response.failure == "half":
                    content, self.close_connection = content[: len(content) // 2], True
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_request  # noqa: N815 - the names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        class QuietServer(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Some tests close the connection early."""

        self._http = QuietServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.closed.set()
        self._http.shutdown()
        self._http.server_close()
