"""GitHub's REST API on loopback: emulate behind a recorder that validates each request and injects faults.

Needs the tools of `make workflow-tools`. What emulate lacks is served here: heads that follow a bare git repository,
artifacts, dispatches, rulesets, environments and variables. Nothing listens but on 127.0.0.1.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import re
import socket
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.engine.workflows.install import NODE, environment, tools
from tests.engine.workflows.openapi import Validator

REPOSITORY = "acme/fraud"
FORK = "mallory/fraud"
BOT = "github-actions[bot]"
DEPENDABOT = "dependabot[bot]"
# Long, and of no real token's form, so that neither act's masking nor a secret scanner takes words of a log for it.
TOKEN = "fake-token-of-the-workflow-0123456789abcdef"
ALICE = "fake-token-of-alice-0123456789abcdef"
BOB = "fake-token-of-bob-0123456789abcdef"
MALLORY = "fake-token-of-mallory-0123456789abcdef"
DEPENDABOTS = "fake-token-of-dependabot-0123456789abcdef"
SEED = {
    "tokens": {
        TOKEN: {"login": BOT, "scopes": ["repo"]},
        ALICE: {"login": "alice", "scopes": ["repo"]},
        BOB: {"login": "bob", "scopes": ["repo"]},
        MALLORY: {"login": "mallory", "scopes": ["repo"]},
        DEPENDABOTS: {"login": DEPENDABOT, "scopes": ["repo"]},
    },
    "github": {
        "users": [{"login": login} for login in (BOT, DEPENDABOT, "alice", "bob", "mallory")],
        "orgs": [
            {
                "login": "acme",
                "members": [
                    {"login": "alice", "role": "admin"},
                    {"login": "bob", "role": "admin"},
                    {"login": BOT, "role": "admin"},
                    {"login": DEPENDABOT, "role": "admin"},
                ],
            }
        ],
        "repos": [{"owner": "acme", "name": "fraud", "auto_init": True}],
    },
}
# What a workflow's token needs for a call: https://docs.github.com/rest/authentication/permissions-required-for-github-apps
PERMISSIONS = (
    (r"(/issues/(\d+|comments)(/.*)?|/pulls(/.*)?)$", "pull-requests"),
    (r"/issues(/.*)?$|/labels(/.*)?$", "issues"),
    (r"/check-runs(/.*)?$", "checks"),
    (r"/actions/variables(/.*)?$", "variables"),
    (r"/actions(/.*)?$", "actions"),
    (r"/git(/.*)?$|/contents(/.*)?$|/releases(/.*)?$", "contents"),
    (r"/rulesets(/.*)?$|/environments(/.*)?$", "administration"),
)


@dataclass(frozen=True)
class Request:
    """What was asked, and what the answer was."""

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
class Fault:
    """What happens to the next `times` requests that match."""

    method: str
    path: re.Pattern[str]
    times: float
    status: int = 500
    message: str = ""


@dataclass(frozen=True)
class Answer:
    """Status, headers and body."""

    status: int
    document: Any = None
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class GitHubFake:
    """A GitHub to talk to at `url`; `reset` gives a new one.

    Attributes:
        requests: all that came through `url`, in order.
        invalid: requests that GitHub's description does not allow, each with the reason.
        dispatches: (workflow file, body) of each workflow that was started.
        origin: the bare repository whose branches are the branches of acme/fraud, or None.
    """

    def __init__(self, folder: Path) -> None:
        """Start emulate, Prism and the recorder."""
        ports = free_ports(2)
        self._emulate = ports[0]
        self._validator = Validator(folder, ports[1])
        self._lock = threading.RLock()
        self._server = self._listen(0)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        seed = {**SEED, "github": {**SEED["github"], "baseUrl": self.url}}  # type: ignore[dict-item]
        command = [NODE, Path(__file__).with_name("emulate.mjs"), tools() / "emulate", str(ports[0]), json.dumps(seed)]
        self._node = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._ready()
        self._validator.wait()
        self._clear()

    # What a test arranges

    def reset(self, origin: Path | None = None) -> None:
        """Forget everything; branches are those of `origin` from now on."""
        assert self._node.stdin is not None
        self._node.stdin.write("reset\n")
        self._ready()
        self.up()
        self._clear()
        self.origin: Path | None = origin

    def pull(self, branch: str, title: str = "Change", *, fork: bool = False, token: str = ALICE) -> int:
        """Open a pull request against main; returns its number. A fork's commits are at refs/pull/NUMBER/head."""
        if fork:
            self.ask("POST", "/forks", {}, token=MALLORY)
        head = f"mallory:{branch}" if fork else branch
        body = {"title": title, "head": head, "base": "main"}
        return int(self.ask("POST", "/pulls", body, token=MALLORY if fork else token)["number"])

    def merge(self, number: int, sha: str, at: str | None = None) -> None:
        """A pull request is merged; `sha` is its commit on main, `at` the time (by default now, rounded up)."""
        self.ask("PATCH", f"/pulls/{number}", {"state": "closed"})
        now = datetime.now(UTC) + timedelta(seconds=1)
        self._merged[number] = (sha, at or now.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def approve(self, number: int, token: str) -> None:
        """Somebody approves a pull request."""
        self.ask("POST", f"/pulls/{number}/reviews", {"event": "APPROVE"}, token=token)

    def comment(self, number: int, body: str, token: str = ALICE) -> int:
        """Somebody comments; returns the comment's id."""
        return int(self.ask("POST", f"/issues/{number}/comments", {"body": body}, token=token)["id"])

    def artifact(
        self, run: int, name: str, content: bytes | Path, size: int | None = None, branch: str = "change"
    ) -> int:
        """An artifact of a run of a branch: a zip's bytes, or a folder to zip; returns its id."""
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
        """Answer the next `times` matching requests with an error."""
        self._faults.append(Fault(method, re.compile(path), times, status, message))

    def down(self) -> None:
        """Refuse connections until `up`."""
        self._server.shutdown()
        self._server.server_close()
        self._is_up = False

    def up(self) -> None:
        """Take connections again, at the same address."""
        if not self._is_up:
            self._server = self._listen(self.port)
            self._is_up = True

    # What a test asserts on

    def ask(self, method: str, path: str, body: Any = None, *, token: str = ALICE, repository: str = REPOSITORY) -> Any:
        """Ask past the recorder: not recorded, not validated, no fault.

        Raises:
            AssertionError: if the answer is an error.
        """
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = b"" if body is None else json.dumps(body).encode()
        answer = self._serve(method, f"/repos/{repository}{path}", headers, content)
        assert answer.status < 400, answer
        return answer.document

    def comments(self, number: int) -> list[str]:
        """The comments of a pull request or issue."""
        return [comment["body"] for comment in self.ask("GET", f"/issues/{number}/comments?per_page=100")]

    def checks(self, sha: str) -> dict[str, str]:
        """Name -> conclusion of a commit's newest check runs."""
        answer = self.ask("GET", f"/commits/{sha}/check-runs")
        return {check["name"]: check["conclusion"] for check in answer["check_runs"]}

    @property
    def asked(self) -> list[str]:
        """The requests in short, in order."""
        return [request.short for request in self.requests]

    @property
    def changes(self) -> list[str]:
        """The requests that change something and were answered, in short, in order."""
        return [r.short for r in self.requests if r.method != "GET" and r.status < 400]

    def close(self) -> None:
        """End everything."""
        if self._is_up:
            self.down()
        assert self._node.stdin is not None
        self._node.stdin.close()
        self._node.wait(10)
        assert self._node.stdout is not None
        self._node.stdout.close()
        self._validator.close()

    # How it works

    def _clear(self) -> None:
        with self._lock:
            self._is_up = True
            self.requests: list[Request] = []
            self.invalid: list[str] = []
            self.dispatches: list[tuple[str, Any]] = []
            self.origin = None
            self._faults: list[Fault] = []
            self._artifacts: dict[int, tuple[int, str, bytes, int, str]] = {}
            self._merged: dict[int, tuple[str, str]] = {}
            self._runs: list[dict[str, Any]] = []
            kinds = ("rulesets", "environments", "variables", "settings")
            self._kept: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
            self._ids = itertools.count(9_000_000_001)  # GitHub's ids do not fit into 32 bits

    def _ready(self) -> None:
        assert self._node.stdout is not None
        line = self._node.stdout.readline()
        assert line == "ready\n", f"emulate did not start: {line!r}"

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def receive(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Validate, fail on purpose or answer, and record."""
        if target.startswith("/storage/"):
            return self._blob(int(target.rsplit("/", 1)[1]), headers)
        faults = self._validator.faults(method, target, headers, body)
        fault = self._next_fault(method, target)
        if faults:
            self.invalid.append(f"{method} {target}: {'; '.join(faults)}")
            answer = Answer(422, {"message": f"not by GitHub's description: {faults}"})
        elif fault:
            answer = Answer(fault.status, {"message": fault.message or f"fault for {method} {target}"})
        else:
            answer = self._serve(method, target, headers, body)
        self._record(method, target, headers, body, answer.status)
        return answer

    def _next_fault(self, method: str, target: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.method in ("*", method) and fault.path.search(urlsplit(target).path):
                    fault.times -= 1
                    return fault
        return None

    def _record(self, method: str, target: str, headers: dict[str, str], body: bytes, status: int) -> None:
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        document = json.loads(body) if body else None
        with self._lock:
            self.requests.append(Request(method, unquote(parts.path), query, document, headers, status))

    def _serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path = urlsplit(target).path
        document = json.loads(body) if body else {}
        with self._lock:
            for pattern, own in _OWN:
                if found := re.fullmatch(rf"{method} /repos/acme/fraud{pattern}", f"{method} {path}"):
                    answer = own(self, method, document, *found.groups())
                    if answer is not None:
                        return answer
        answer = self._ask_emulate(method, target, headers, body)
        if answer.status < 300 and method in ("POST", "PATCH") and "/check-runs" in path:
            self._runs = [run for run in self._runs if run["id"] != answer.document["id"]] + [answer.document]
        return Answer(answer.status, self._amended(answer.document), answer.content, answer.headers)

    def _ask_emulate(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        passed_on = ("authorization", "content-type")
        kept = {key: value for key, value in headers.items() if key.lower() in passed_on}
        kept["Host"] = f"127.0.0.1:{self.port}"  # emulate makes the links to further pages from it
        connection = http.client.HTTPConnection("127.0.0.1", self._emulate, timeout=30)
        try:
            connection.request(method, target, body=body or None, headers=kept)
            answer = connection.getresponse()
            content = answer.read()
            passed = {key: value for key, value in answer.getheaders() if key.lower() in ("link", "location")}
            is_json = answer.headers.get_content_type() == "application/json" and content
            return Answer(answer.status, json.loads(content) if is_json else None, content, passed)
        finally:
            connection.close()

    def _amended(self, document: Any) -> Any:
        """Heads as they are in git, the bot as GitHub shows it, and settings that emulate forgets."""
        if isinstance(document, list):
            return [self._amended(item) for item in document]
        if not isinstance(document, dict):
            return document
        new = {key: self._amended(value) for key, value in document.items()}
        if new.get("login") in (BOT, DEPENDABOT):
            new["type"] = "Bot"
        if new.get("full_name") == REPOSITORY:
            new |= self._kept["settings"]
        if self.origin and isinstance(new.get("head"), dict) and isinstance(new.get("base"), dict):
            forked = (new["head"].get("repo") or {}).get("full_name") == FORK
            head = f"refs/pull/{new['number']}/head" if forked else f"refs/heads/{new['head']['ref']}"
            new["head"]["sha"] = self.tip(head) or new["head"]["sha"]
            new["base"]["sha"] = self.tip(f"refs/heads/{new['base']['ref']}") or new["base"]["sha"]
            if new["number"] in self._merged:
                sha, at = self._merged[new["number"]]
                new |= {"merged_at": at, "merged": True, "merge_commit_sha": sha}
        return new

    def tip(self, ref: str) -> str | None:
        """The commit of a ref of the bare repository, or None."""
        command = ["git", "--git-dir", str(self.origin), "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None

    def _blob(self, number: int, headers: dict[str, str]) -> Answer:
        """What GitHub redirects a download to: another host, which must not see the token."""
        if any(key.lower() == "authorization" for key in headers):
            self.invalid.append("the token was sent to the storage of artifacts")
        return Answer(200, content=self._artifacts[number][2], headers={"Content-Type": "application/zip"})

    # What emulate lacks

    def _list_artifacts(self, _method: str, _body: Any, run: str | None = None) -> Answer:
        repository = self._ask_emulate("GET", f"/repos/{REPOSITORY}", {"authorization": f"token {ALICE}"}, b"").document
        found = [
            {
                "id": number,
                "name": name,
                "size_in_bytes": size,
                "expired": False,
                "workflow_run": {"id": of, "head_branch": branch, "head_repository_id": repository["id"]},
            }
            for number, (of, name, _, size, branch) in self._artifacts.items()
            if run is None or of == int(run)
        ]
        return Answer(200, {"total_count": len(found), "artifacts": found[::-1]})

    def _pulls_of(self, _method: str, _body: Any, sha: str) -> Answer:
        token = {"authorization": f"token {ALICE}"}
        numbers = [number for number, (merged, _) in self._merged.items() if merged == sha]
        found = [self._ask_emulate("GET", f"/repos/{REPOSITORY}/pulls/{number}", token, b"") for number in numbers]
        return Answer(200, [self._amended(answer.document) for answer in found])

    def _artifact_zip(self, _method: str, _body: Any, number: str) -> Answer:
        if int(number) not in self._artifacts:
            return Answer(404, {"message": "Not Found"})
        return Answer(302, headers={"Location": f"http://localhost:{self.port}/storage/{number}"})

    def _dispatch(self, _method: str, body: Any, workflow: str) -> Answer:
        if self.origin and not self._has(f"refs/heads/main:.github/workflows/{workflow}"):
            return Answer(404, {"message": "Not Found"})
        if self.origin and not self.tip(f"refs/heads/{body['ref']}"):
            return Answer(422, {"message": f"No ref found for: {body['ref']}"})
        self.dispatches.append((workflow, body))
        return Answer(204)

    def _create_check(self, _method: str, body: Any) -> Answer | None:
        if self.origin and not self._has(body.get("head_sha", "")):
            return Answer(422, {"message": f"No commit found for SHA: {body.get('head_sha')}"})
        return None

    def _list_checks(self, _method: str, _body: Any, sha: str) -> Answer:
        newest = {run["name"]: run for run in self._runs if run["head_sha"] == sha}
        return Answer(200, {"total_count": len(newest), "check_runs": list(newest.values())})

    def _has(self, name: str) -> bool:
        command = ["git", "--git-dir", str(self.origin), "cat-file", "-e", name]
        return bool(name) and subprocess.run(command, capture_output=True).returncode == 0

    def _settings(self, method: str, body: Any) -> None:
        """Keep those of a squash's words; emulate does the rest, and answers."""
        self._kept["settings"] |= {key: value for key, value in body.items() if key.startswith("squash_merge_commit_")}

    def _rulesets(self, method: str, body: Any, number: str | None = None) -> Answer:
        kept = self._kept["rulesets"]
        if method == "POST":
            number = str(next(self._ids))
        if number is None:
            return Answer(200, [{"id": int(key), "name": rules["name"]} for key, rules in kept.items()])
        if method != "POST" and number not in kept:
            return Answer(404, {"message": "Not Found"})
        if method != "GET":
            kept[number] = {**body, "id": int(number)}
        return Answer(201 if method == "POST" else 200, kept[number])

    def _environments(self, method: str, body: Any, name: str | None = None) -> Answer:
        kept = self._kept["environments"]
        if name is None:
            return Answer(200, {"total_count": len(kept), "environments": list(kept.values())})
        if method == "PUT":
            kept[name] = {"name": unquote(name), **(body or {})}
        return Answer(200, kept[name]) if name in kept else Answer(404, {"message": "Not Found"})

    def _variables(self, method: str, body: Any, name: str | None = None) -> Answer:
        kept = self._kept["variables"]
        if method == "POST":
            if body["name"] in kept:
                return Answer(409, {"message": "Already exists"})
            kept[body["name"]] = body
            return Answer(201, {})
        if name is None:
            return Answer(200, {"total_count": len(kept), "variables": list(kept.values())})
        if name not in kept:
            return Answer(404, {"message": "Not Found"})
        if method == "PATCH":
            kept[name] |= body
            return Answer(204)
        return Answer(200, kept[name])


_OWN: tuple[tuple[str, Callable[..., Answer | None]], ...] = (
    ("", GitHubFake._settings),
    (r"/actions/artifacts", GitHubFake._list_artifacts),
    (r"/actions/runs/(\d+)/artifacts", GitHubFake._list_artifacts),
    (r"/actions/artifacts/(\d+)/zip", GitHubFake._artifact_zip),
    (r"/actions/workflows/([\w.-]+)/dispatches", GitHubFake._dispatch),
    (r"/check-runs", GitHubFake._create_check),
    (r"/commits/([0-9a-f]+)/check-runs", GitHubFake._list_checks),
    (r"/commits/([0-9a-f]+)/pulls", GitHubFake._pulls_of),
    (r"/rulesets(?:/(\d+))?", GitHubFake._rulesets),
    (r"/environments(?:/([^/]+))?", GitHubFake._environments),
    (r"/actions/variables(?:/(\w+))?", GitHubFake._variables),
)


def permissions(requests: Iterable[Request]) -> dict[str, str]:
    """The permissions that a workflow's token needs for these requests."""
    needed: dict[str, str] = {}
    for request in requests:
        name = next((name for pattern, name in PERMISSIONS if re.search(pattern, request.path)), "metadata")
        level = "read" if request.method == "GET" else "write"
        needed[name] = "write" if "write" in (level, needed.get(name)) else "read"
    return needed


def zipped(folder: Path) -> bytes:
    """A folder as the zip of an artifact."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def running(folder: Path) -> Iterator[GitHubFake]:
    """One that ends with the fixture that uses this."""
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
            answer = fake.receive(self.command, self.path, dict(self.headers.items()), body)
            content = json.dumps(answer.document).encode() if answer.document is not None else answer.content
            self.send_response(answer.status)
            kind = {"Content-Type": "application/json; charset=utf-8"} if answer.document is not None else {}
            for name, value in {**kind, **answer.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are recorded instead."""

    return Handler
