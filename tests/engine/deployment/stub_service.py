"""A service in a container of the tests: like serving/, with errors, delays and sizes that a request asks for.

It needs nothing but Python. `/predict` answers with the request's headers; the release id is the variable RELEASE.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROKEN = Path("/tmp/broken")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Print no line for each request."""

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps({"release": os.environ["RELEASE"], **document}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer /info, /readyz and /metrics."""
        self._answer(200, {"path": self.path, "host": os.environ["HOSTNAME"]})

    def do_POST(self) -> None:
        """Answer a prediction: with an error while broken, and after the seconds that the body names."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        document = json.loads(body) if body else {}
        if document.get("break"):
            BROKEN.touch()
        time.sleep(document.get("seconds", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(500 if BROKEN.exists() else 200, {"bytes": len(body), "headers": headers})


class Server(ThreadingHTTPServer):
    """Accepts as many at once as the tests send."""

    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if os.environ["RELEASE"] == "crashes":
        sys.exit("this version does not start")
    if os.environ["RELEASE"] == "hangs":
        signal.pause()
    Server(("0.0.0.0", 3000), Handler).serve_forever()
