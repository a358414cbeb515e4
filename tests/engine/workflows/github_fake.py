"""A fake GitHub REST API on loopback: records and validates each request, and injects failures.

Needs the tools of `make workflow-tools`. The requests are handled by emulate and github_backend.py.
"""

import io
import json
import random
import re
import socket
import subprocess
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.engine.workflows.github_accounts import ALICE, MALLORY, REPOSITORY, SEED
from tests.engine.workflows.github_backend import ENDPOINTS, Backend, Response
from tests.engine.workflows.install import NODE, environment, tools
from tests.engine.workflows.openapi import Validator

# What a workflow's token needs for a call: https://docs.github.com/rest/authentication/permissions-required-for-github-apps
PERMISSIONS = (
    (r"(/issues/(\d+|comments)(/.*)?|/pulls(/.*)?)$", "pull-requests"),
    (r"/issues(/.*)?$|/labels(/.*)?$", "issues"),
    (r"/check-runs(/.*)?$", "checks"),
    (r"/actions/variables(/.*)?$", "variables"),
    (r"/actions(/.*)?$", "actions"),
    (r"/git(/.*)?$|/contents(/.*)?$|/releases(/.*)?$", "contents"),
    (r"/rulesets(/.*)?$|/environments(/.*)?$|/actions/(oidc|permissions)/.*$", "administration"),
)


@dataclass(frozen=True)
class Request:
    """A request, with the status of its response."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]
    status: int

    @property
    def short(self) -> str:
        """`POST /issues/1/comments`: the path below the repository."""
        return f"{self.method} {re.sub(r'^/repos/[^/]+/[^/]+', '', self.path) or '/'}"


@dataclass
class Failure:
    """The response to the next `times` matching requests."""

    method: str
    path: re.Pattern[str]
    times: float
    status: int = 500
    message: str = ""


class GitHubFake(Backend):
    """A fake GitHub at `url`; `reset` empties it.

    Attributes:
        requests: all requests to `url`, in order.
        invalid: requests that GitHub's description does not allow, each with the reason.
    """

    def __init__(self, folder: Path) -> None:
        """Start emulate, Prism and the recorder."""
        ports = free_ports(2)
        super().__init__(ports[0])
        self._validator = Validator(folder, ports[1])
        self._lock = threading.RLock()
        self._server = self._listen(0)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        seed = {**SEED, "github": {**SEED["github"], "baseUrl": self.url}}  # type: ignore[dict-item]
        command = [NODE, Path(__file__).with_name("emulate.mjs"), tools() / "emulate", str(ports[0]), json.dumps(seed)]
        self._node = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._ready()
        self._validator.wait()
        self._clear()

    # Arranging a test

    def reset(self, origin: Path | None = None) -> None:
        """Remove everything; branches are those of `origin` from now on."""
        assert self._node.stdin is not None
        self._node.stdin.write("reset\n")
        self._ready()
        self.up()
        self._clear()
        self.origin = origin

    def pull(self, branch: str, title: str = "Change", *, fork: bool = False, token: str = ALICE) -> int:
        """Open a pull request against main; returns its number. A fork's commits are at refs/pull/NUMBER/head."""
        if fork:
            self.ask("POST", "/forks", {}, token=MALLORY)
        head = f"mallory:{branch}" if fork else branch
        body = {"title": title, "head": head, "base": "main"}
        return int(self.ask("POST", "/pulls", body, token=MALLORY if fork else token)["number"])

    def merge(self, number: int, sha: str, at: str | None = None) -> None:
        """Merge a pull request; `sha` is its commit on main, `at` the time (by default now, rounded up)."""
        self.ask("PATCH", f"/pulls/{number}", {"state": "closed"})
        now = datetime.now(UTC) + timedelta(seconds=1)
        self._merged[number] = (sha, at or now.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def approve(self, number: int, token: str) -> None:
        """Approve a pull request as the user of the token."""
        self.ask("POST", f"/pulls/{number}/reviews", {"event": "APPROVE"}, token=token)

    def comment(self, number: int, body: str, token: str = ALICE) -> int:
        """Comment as the user of the token; return the comment's id."""
        return int(self.ask("POST", f"/issues/{number}/comments", {"body": body}, token=token)["id"])

    def artifact(
        self, run: int, name: str, content: bytes | Path, size: int | None = None, branch: str = "change"
    ) -> int:
        """Add an artifact of a run: a zip's bytes, or a folder to zip; return its id."""
        data = content if isinstance(content, bytes) else zipped(content)
        number = next(self._ids)
        self._artifacts[number] = (run, name, data, len(data) if size is None else size, branch)
        return number

    def fail(
        self,
        method: str = "*",
        path: str = "",
        *,
        status: int = 500,
        times: float = float("inf"),
        message: str = "",
    ) -> None:
        """Response the next `times` matching requests with an error."""
        self._failures.append(Failure(method, re.compile(path), times, status, message))

    def down(self) -> None:
        """Refuse connections until `up`."""
        self._server.shutdown()
        self._server.server_close()
        self._is_up = False

    def up(self) -> None:
        """Accept connections again, at the same address."""
        if not self._is_up:
            self._server = self._listen(self.port)
            self._is_up = True

    # Asserting

    def ask(self, method: str, path: str, body: Any = None, *, token: str = ALICE, repository: str = REPOSITORY) -> Any:
        """Send a request directly: not recorded, not validated, no injected failure.

        Raises:
            AssertionError: if the response is an error.
        """
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = b"" if body is None else json.dumps(body).encode()
        response = self._serve(method, f"/repos/{repository}{path}", headers, content)
        assert response.status < 400, response
        return response.document

    def comments(self, number: int) -> list[str]:
        """The comments of a pull request or issue."""
        return [comment["body"] for comment in self.ask("GET", f"/issues/{number}/comments?per_page=100")]

    def checks(self, sha: str) -> dict[str, str]:
        """Name -> conclusion of a commit's newest check runs."""
        document = self.ask("GET", f"/commits/{sha}/check-runs")
        return {check["name"]: check["conclusion"] for check in document["check_runs"]}

    @property
    def asked(self) -> list[str]:
        """The method and path of each request, in order."""
        return [request.short for request in self.requests]

    @property
    def changes(self) -> list[str]:
        """The method and path of each successful request that changes something, in order."""
        return [r.short for r in self.requests if r.method != "GET" and r.status < 400]

    def close(self) -> None:
        """Stop all servers."""
        if self._is_up:
            self.down()
        assert self._node.stdin is not None
        self._node.stdin.close()
        self._node.wait(10)
        assert self._node.stdout is not None
        self._node.stdout.close()
        self._validator.close()

    # Implementation

    def _clear(self) -> None:
        with self._lock:
            self.clear()
            self._is_up = True
            self.requests: list[Request] = []
            self.invalid: list[str] = []
            self._failures: list[Failure] = []

    def _ready(self) -> None:
        assert self._node.stdout is not None
        line = self._node.stdout.readline()
        assert line == "ready\n", f"emulate did not start: {line!r}"

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def receive(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        """Validate a request, respond to it, and record it."""
        if target.startswith("/storage/"):
            return self._blob(int(target.rsplit("/", 1)[1]), headers)
        errors = self._validator.find_errors(method, target, headers, body)
        failure = self._next_failure(method, target)
        if errors:
            self.invalid.append(f"{method} {target}: {'; '.join(errors)}")
            response = Response(422, {"message": f"not by GitHub's description: {errors}"})
        elif failure:
            response = Response(failure.status, {"message": failure.message or f"failure of {method} {target}"})
        else:
            response = self._serve(method, target, headers, body)
        self._record(method, target, headers, body, response.status)
        return response

    def _next_failure(self, method: str, target: str) -> Failure | None:
        with self._lock:
            for failure in self._failures:
                is_match = failure.method in ("*", method) and failure.path.search(urlsplit(target).path)
                if failure.times > 0 and is_match:
                    failure.times -= 1
                    return failure
        return None

    def _record(self, method: str, target: str, headers: dict[str, str], body: bytes, status: int) -> None:
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        document = json.loads(body) if body else None
        with self._lock:
            self.requests.append(Request(method, unquote(parts.path), query, document, headers, status))

    def _serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        path = urlsplit(target).path
        document = json.loads(body) if body else {}
        with self._lock:
            for pattern, endpoint in ENDPOINTS:
                if match := re.fullmatch(rf"{method} /repos/acme/fraud{pattern}", f"{method} {path}"):
                    response = endpoint(self, method, document, *match.groups())
                    if response is not None:
                        return response
        response = self._ask_emulate(method, target, headers, body)
        if response.status < 300 and method in ("POST", "PATCH") and "/check-runs" in path:
            self._runs = [run for run in self._runs if run["id"] != response.document["id"]] + [response.document]
        return Response(response.status, self._amended(response.document), response.content, response.headers)


def permissions(requests: Iterable[Request]) -> dict[str, str]:
    """Return the permissions that a workflow's token needs for the requests."""
    needed: dict[str, str] = {}
    for request in requests:
        name = next((name for pattern, name in PERMISSIONS if re.search(pattern, request.path)), "metadata")
        level = "read" if request.method == "GET" else "write"
        needed[name] = "write" if "write" in (level, needed.get(name)) else "read"
    return needed


def zipped(folder: Path) -> bytes:
    """Return a folder as the zip of an artifact."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


def free_ports(count: int) -> list[int]:
    """Return unused ports, which the kernel gives to no connection before a server takes them."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randint(10_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def running(folder: Path) -> Iterator[GitHubFake]:
    """Yield a fake GitHub, and close it afterwards."""
    fake = GitHubFake(folder)
    try:
        yield fake
    finally:
        fake.close()


def _handler(fake: GitHubFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            response = fake.receive(self.command, self.path, dict(self.headers.items()), body)
            content = json.dumps(response.document).encode() if response.document is not None else response.content
            self.send_response(response.status)
            kind = {"Content-Type": "application/json; charset=utf-8"} if response.document is not None else {}
            for name, value in {**kind, **response.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing; requests are recorded."""

    return Handler
