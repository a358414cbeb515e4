"""A service in a container of the tests: like serving/, with errors, delays and sizes that a request asks for.

It needs nothing but Python. `/predict` answers with the request's headers; the release id is the variable RELEASE. Some
of them fail, are slow, or have other scores. `/metrics` counts as serving/metrics.py does.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROKEN = Path("/tmp/broken")
COUNTS: Counter[str] = Counter()
FAILS_AFTER = 300  # requests of the version `fails`


_TIMED = 'mainline_request_seconds_count{endpoint="/predict"}'
_FAST = 'mainline_request_seconds_bucket{endpoint="/predict",le="0.1"}'


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
        if self.path == "/metrics":
            counts = {f'stub_info{{host="{os.environ["HOSTNAME"]}"}}': 1, **COUNTS}
            body = "".join(f"{name} {value}\n" for name, value in counts.items()).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self._answer(200, {"path": self.path, "host": os.environ["HOSTNAME"]})

    def do_POST(self) -> None:
        """Answer a prediction: with an error while broken, and after the seconds that the body names."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        document = json.loads(body) if body else {}
        if document.get("break"):
            BROKEN.touch()
        time.sleep(document.get("seconds", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        release, answered = os.environ["RELEASE"], COUNTS[_TIMED]
        status = (
            500 if BROKEN.exists() or (release == "fails" and answered > FAILS_AFTER and answered % 5 == 0) else 200
        )
        COUNTS[f'mainline_requests_total{{endpoint="/predict",status="{status}"}}'] += 1
        COUNTS[_TIMED] += 1
        COUNTS[_FAST] += 0 if release == "slow" and answered % 10 == 0 else 1
        COUNTS[f'mainline_scores_total{{bin="{9 if release == "shifted" else answered % 3}"}}'] += 1
        self._answer(status, {"bytes": len(body), "headers": headers})


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
