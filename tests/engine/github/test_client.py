"""The client against a server that answers as each test scripts it, on loopback; no sleep is real."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.github.client import GitHub
from pipelines.github.transport import PATIENCE, TRIES
from tests.engine.workflows.github_fake import BOB, REPOSITORY, GitHubFake, permissions, running
from tests.engine.workflows.github_fake import TOKEN as FAKE_TOKEN

TOKEN = "ghs_averylongtokenthatnobodymaysee0123456789"


@dataclass(frozen=True)
class Answer:
    """What the server says: `body` is sent as JSON, or as it is where it is bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    # What happens instead: no answer until the test ends, or half of one.
    fault: str = ""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Server:
    """Answers requests one after another from a script, and keeps what was asked."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                sent = self.rfile.read(size)
                asked = Asked(self.command, self.path, dict(self.headers), json.loads(sent) if sent else None)
                server.asked.append(asked)
                self.say(server.script.pop(0))

            def say(self, answer: Answer) -> None:
                if answer.fault == "silent":
                    server.ended.wait()
                if answer.fault in ("silent", "dropped"):
                    self.close_connection = True
                    return
                raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                content = b"" if answer.body is None else raw
                self.send_response(answer.status)
                headers = {"Content-Length": str(len(content)), **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if answer.fault == "half":
                    content, self.close_connection = content[: len(content) // 2], True
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 - the names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is what some tests are about."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture(autouse=True)
def _no_proxy_and_no_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """A server of another host: for a client another port is one."""
    other = Server()
    yield other
    other.close()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def github(server: Server, slept: list[float]) -> GitHub:
    return GitHub("acme/fraud", TOKEN, server.url + "/", sleep=slept.append, timeout=(0.5, 0.2))


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_call_carries_the_token_the_version_and_the_repository(github: GitHub, server: Server) -> None:
    server.script = [Answer(body={"number": 7})]
    assert github.pull(7) == {"number": 7}
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("GET", "/repos/acme/fraud/pulls/7")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["X-GitHub-Api-Version"] == "2022-11-28"


def test_a_netrc_for_the_host_does_not_replace_the_token(github: GitHub, server: Server, tmp_path: Any) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    server.script = [Answer(body={})]
    github.pull(7)
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_what_is_written_reaches_github_as_it_is(github: GitHub, server: Server) -> None:
    server.script = [Answer(201, {"id": 1})]
    text = 'a `quote`, "two", $(three) and ünïcode'
    assert github.create_comment(3, text) == {"id": 1}
    assert server.asked[0].body == {"body": text}


def test_an_empty_answer_is_none(github: GitHub, server: Server) -> None:
    server.script = [Answer(204)]
    github.dispatch("test.yml", "main")
    assert server.asked[0].body == {"ref": "main"}


# Retries


def test_a_5xx_response_is_retried_after_longer_and_longer_waits(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    server.script = [Answer(500), Answer(502), Answer(503), Answer(body={"number": 1})]
    assert github.pull(1) == {"number": 1}
    assert slept == [1, 2, 4]


def test_a_server_that_stays_broken_is_unreachable_after_the_last_try_without_a_wait_behind_it(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    server.script = [Answer(502, b"<html>Unicorn!</html>")] * TRIES
    with pytest.raises(Unreachable, match=r"^GitHub: GET /repos/acme/fraud/pulls/1: 502$") as error:
        github.pull(1)
    assert "githubstatus.com" in error.value.remedy
    assert slept == [1, 2, 4, 8]


def test_retry_after_is_honoured(github: GitHub, server: Server, slept: list[float]) -> None:
    limit = {"message": "You have exceeded a secondary rate limit."}
    busy = Answer(503, headers={"Retry-After": "11"})
    server.script = [Answer(403, limit, {"Retry-After": "17"}), Answer(429, limit, {"Retry-After": "3"}), busy]
    server.script.append(Answer(body={}))
    github.pull(1)
    assert slept == [17, 3, 11]


@pytest.mark.parametrize("after", ["soon", "", "Wed, 21 Oct 2099 07:28:00 GMT", "-1", "1.5", "²"])
def test_a_retry_after_that_is_no_number_of_seconds_is_passed_over(
    github: GitHub, server: Server, slept: list[float], after: str
) -> None:
    server.script = [Answer(429, headers={"Retry-After": after}), Answer(body={})]
    github.pull(1)
    assert slept == [60]


@pytest.mark.parametrize("status", [403, 429])
def test_the_primary_rate_limit_is_waited_for(github: GitHub, server: Server, slept: list[float], status: int) -> None:
    reset = str(int(time.time()) + 40)
    limit = {"message": "API rate limit exceeded for installation."}
    server.script = [Answer(status, limit, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})]
    server.script.append(Answer(body={}))
    github.pull(1)
    assert len(slept) == 1
    assert 38 < slept[0] <= 42


def test_a_reset_that_is_past_by_this_machines_clock_is_waited_for_a_second(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    server.script = [Answer(403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}), Answer(body={})]
    github.pull(1)
    assert slept == [1]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3000)},
        {"Retry-After": "3600"},
    ],
)
def test_a_limit_that_lasts_longer_than_the_patience_is_an_error_at_once(
    github: GitHub, server: Server, slept: list[float], headers: dict[str, str]
) -> None:
    server.script = [Answer(403, {"message": "API rate limit exceeded"}, headers)]
    with pytest.raises(Unreachable, match="403 API rate limit exceeded") as error:
        github.pull(1)
    assert "minutes" in error.value.remedy
    assert slept == []


def test_a_secondary_limit_without_a_header_is_waited_for_a_minute_and_then_two(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    limit = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
    server.script = [Answer(403, limit), Answer(429), Answer(body={})]
    github.pull(1)
    assert slept == [60, 120]


def test_all_waits_of_a_call_together_have_an_end(github: GitHub, server: Server, slept: list[float]) -> None:
    server.script = [Answer(429, headers={"Retry-After": str(int(PATIENCE / 2))})] * 3
    with pytest.raises(Unreachable, match="429"):
        github.pull(1)
    assert sum(slept) <= PATIENCE
    assert len(server.asked) == 3


def test_a_wait_is_printed(github: GitHub, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = [Answer(429, headers={"Retry-After": "30"}), Answer(body={})]
    github.pull(1)
    assert "429; trying again in 30 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Refused), (403, Refused), (404, InputError), (410, InputError), (422, InputError)]
)
def test_what_another_try_cannot_change_is_an_error_at_once_in_githubs_words(
    github: GitHub, server: Server, slept: list[float], status: int, kind: type[Exception]
) -> None:
    server.script = [Answer(status, {"message": "Resource not accessible by integration"})]
    with pytest.raises(kind, match=f"^GitHub: GET /repos/acme/fraud/pulls/1: {status} Resource not accessible by"):
        github.pull(1)
    assert slept == []


def test_what_github_finds_wrong_with_each_field_is_reported(github: GitHub, server: Server) -> None:
    faults = [
        {"resource": "Label", "field": "color", "code": "invalid"},
        {"resource": "Label", "code": "custom", "message": "name is\ntoo long"},
        "Invalid rule 'x'",
    ]
    server.script = [Answer(422, {"message": "Validation Failed", "errors": faults})]
    with pytest.raises(InputError) as error:
        github.create_label("a", "xyz", "")
    said = str(error.value)
    assert said.endswith("422 Validation Failed: color invalid; name is too long; Invalid rule 'x'")


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"\xff\xfe", [], {"message": None}, {"message": 3, "errors": 5}, {"errors": [None, {}]}]
)
def test_an_error_whose_body_is_not_githubs_is_still_one_line(github: GitHub, server: Server, body: Any) -> None:
    server.script = [Answer(404, body)]
    with pytest.raises(InputError, match=r"^GitHub: GET /repos/acme/fraud/pulls/1: 404") as error:
        github.pull(1)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


# What may have been done must not be done twice

POSTS: list[Callable[[GitHub], Any]] = [
    lambda github: github.create_comment(1, "text"),
    lambda github: github.create_issue("title", "body", ["audit"]),
    lambda github: github.create_check("0" * 40, "review", "success", "title", "summary"),
    lambda github: github.dispatch("test.yml", "main"),
    lambda github: github.create_release("fraud@v1.2.0", "title", "body"),
]


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("answer", [Answer(fault="silent"), Answer(fault="dropped"), Answer(502), Answer(504)])
def test_a_post_that_github_may_have_done_is_not_repeated(
    github: GitHub, server: Server, slept: list[float], post: Callable[[GitHub], Any], answer: Answer
) -> None:
    server.script = [answer]
    with pytest.raises(Unreachable) as error:
        post(github)
    assert "may have been done" in str(error.value)
    assert len(server.asked) == 1
    assert slept == []


def test_a_post_of_which_half_an_answer_came_is_not_repeated(github: GitHub, server: Server) -> None:
    server.script = [Answer(201, {"id": 12345}, fault="half")]
    with pytest.raises(Unreachable, match="may have been done"):
        github.create_comment(1, "text")
    assert len(server.asked) == 1


@pytest.mark.parametrize("post", POSTS)
def test_a_post_that_github_says_it_has_not_done_is_repeated(
    github: GitHub, server: Server, slept: list[float], post: Callable[[GitHub], Any]
) -> None:
    limit = {"message": "You have exceeded a secondary rate limit."}
    server.script = [Answer(500), Answer(503), Answer(429, headers={"Retry-After": "5"}), Answer(403, limit)]
    server.script.append(Answer(201, {"id": 1}))
    post(github)
    assert len(server.asked) == 5
    assert slept == [1, 2, 5, 60]


def test_a_post_that_was_never_sent_is_repeated(slept: list[float]) -> None:
    github = GitHub("acme/fraud", TOKEN, f"http://127.0.0.1:{closed_port()}", sleep=slept.append)
    with pytest.raises(Unreachable, match=r"POST /repos/acme/fraud/issues/1/comments: ConnectionError$"):
        github.create_comment(1, "text")
    assert len(slept) == TRIES - 1


@pytest.mark.parametrize("fault", ["silent", "dropped"])
def test_reading_and_replacing_are_repeated_whatever_happened(github: GitHub, server: Server, fault: str) -> None:
    server.script = [Answer(fault=fault), Answer(body={"number": 1}), Answer(fault=fault), Answer(body={"id": 2})]
    assert github.pull(1) == {"number": 1}
    assert github.update_comment(2, "text") == {"id": 2}
    assert [asked.method for asked in server.asked] == ["GET", "GET", "PATCH", "PATCH"]


def test_a_server_that_stays_silent_is_unreachable(github: GitHub, server: Server, slept: list[float]) -> None:
    server.script = [Answer(fault="silent")] * TRIES
    with pytest.raises(Unreachable, match="ReadTimeout"):
        github.pull(1)
    assert len(slept) == TRIES - 1


def test_a_half_response_is_retried(github: GitHub, server: Server) -> None:
    server.script = [Answer(body={"number": 1}, fault="half"), Answer(body={"number": 1})]
    assert github.pull(1) == {"number": 1}


def test_an_answer_that_is_not_json_is_no_answer(github: GitHub, server: Server) -> None:
    server.script = [Answer(body=b"<html>Sign in to the network</html>")] * TRIES
    with pytest.raises(Unreachable, match="JSONDecodeError"):
        github.pull(1)


# Pages


def test_all_pages_are_read_through_the_link_header(github: GitHub, server: Server) -> None:
    second, third = (f"{server.url}/repositories/1/issues/4/comments?page={page}" for page in (2, 3))
    server.script = [
        Answer(body=[{"id": 1}, {"id": 2}], headers={"Link": f'<{second}>; rel="next", <{third}>; rel="last"'}),
        Answer(body=[{"id": 3}], headers={"Link": f'<{third}>; rel="next"'}),
        Answer(body=[{"id": 4}], headers={"Link": f'<{server.url}/x>; rel="first"'}),
    ]
    assert [comment["id"] for comment in github.comments(4)] == [1, 2, 3, 4]
    assert [asked.path for asked in server.asked] == [
        "/repos/acme/fraud/issues/4/comments?per_page=100",
        "/repositories/1/issues/4/comments?page=2",
        "/repositories/1/issues/4/comments?page=3",
    ]


def test_pages_under_a_key_are_read_too(github: GitHub, server: Server) -> None:
    link = {"Link": '</repos/acme/fraud/actions/runs/5/artifacts?page=2>; rel="next"'}
    server.script = [Answer(body={"total_count": 2, "artifacts": [{"id": 1}]}, headers=link)]
    server.script.append(Answer(body={"total_count": 2, "artifacts": [{"id": 2}]}))
    assert [artifact["id"] for artifact in github.artifacts(5)] == [1, 2]


def test_a_link_to_another_host_is_not_followed(github: GitHub, server: Server, elsewhere: Server) -> None:
    link = {"Link": f'<{elsewhere.url}/repos/acme/fraud/labels?page=2>; rel="next"'}
    server.script, elsewhere.script = [Answer(body=[{"name": "a"}], headers=link)], [Answer(body=[])]
    with pytest.raises(InputError, match="another host"):
        list(github.labels())
    assert elsewhere.asked == []


def test_a_page_that_fails_is_named_by_its_path(github: GitHub, server: Server) -> None:
    server.script = [Answer(body=[], headers={"Link": '</repositories/1/labels?page=2>; rel="next"'}), Answer(404)]
    with pytest.raises(InputError, match=r"^GitHub: GET /repositories/1/labels: 404$"):
        list(github.labels())


def test_a_page_that_is_no_list_is_no_answer(github: GitHub, server: Server) -> None:
    server.script = [Answer(body={"total": 0}), Answer(body={"total": 0})]
    with pytest.raises(Unreachable, match="not a list"):
        list(github.labels())
    with pytest.raises(Unreachable, match="not a list"):
        list(github.artifacts(5))


def test_pull_requests_are_not_issues(github: GitHub, server: Server) -> None:
    server.script = [Answer(body=[{"number": 1}, {"number": 2, "pull_request": {}}])]
    assert [issue["number"] for issue in github.issues("audit")] == [1]
    assert server.asked[0].path.endswith("?per_page=100&labels=audit&state=open")


# Redirects and artifacts


def test_an_artifact_is_fetched_from_another_host_without_the_token(
    github: GitHub, server: Server, elsewhere: Server
) -> None:
    server.script = [Answer(302, headers={"Location": f"{elsewhere.url}/blob?sig=secret"})]
    elsewhere.script = [Answer(body=b"PK zip", headers={"Content-Type": "application/zip"})]
    assert github.download_artifact(9, 100) == b"PK zip"
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert elsewhere.asked[0].path == "/blob?sig=secret"
    assert TOKEN not in str(elsewhere.asked[0].headers)
    assert "Authorization" not in elsewhere.asked[0].headers


def test_the_signed_address_of_an_artifact_is_in_no_message(github: GitHub, server: Server, elsewhere: Server) -> None:
    server.script = [Answer(302, headers={"Location": f"{elsewhere.url}/blob?sig=secret"})]
    elsewhere.script = [Answer(403, b"<Error>expired</Error>")]
    with pytest.raises(Refused, match="GET /repos/acme/fraud/actions/artifacts/9/zip: 403") as error:
        github.download_artifact(9, 100)
    assert "secret" not in f"{error.value} {error.value.remedy}"


def test_an_artifact_of_just_the_limit_is_taken_and_one_byte_more_is_not(github: GitHub, server: Server) -> None:
    server.script = [Answer(body=b"x" * 1000), Answer(body=b"x" * 1001)]
    assert len(github.download_artifact(9, 1000)) == 1000
    with pytest.raises(Refused, match="artifact 9 has more than 1,000 bytes"):
        github.download_artifact(9, 1000)


def test_the_limit_of_an_artifact_holds_while_it_is_read_whatever_its_header_claims(
    github: GitHub, server: Server
) -> None:
    # Chunked and without an end: whoever reads to the end waits for ever.
    endless = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "5"}
    server.script = [Answer(body=endless * 40, headers=headers)]
    with pytest.raises(Refused, match="more than 1,000,000 bytes"):
        github.download_artifact(9, 1_000_000)
    assert len(server.asked) == 1


def test_a_download_that_breaks_off_begins_anew(github: GitHub, server: Server) -> None:
    server.script = [Answer(body=b"x" * 200_000, fault="half"), Answer(body=b"x" * 200_000)]
    assert github.download_artifact(9, 200_000) == b"x" * 200_000


def test_a_download_that_always_breaks_off_is_unreachable(github: GitHub, server: Server) -> None:
    server.script = [Answer(body=b"x" * 200_000, fault="half")] * TRIES
    with pytest.raises(Unreachable, match="artifacts/9/zip"):
        github.download_artifact(9, 200_000)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_change_is_not_sent_after_a_repository_that_has_moved(github: GitHub, server: Server, status: int) -> None:
    server.script = [Answer(status, {"message": "Moved Permanently"}, {"Location": f"{server.url}/repositories/1"})]
    with pytest.raises(InputError, match=f"{status} Moved Permanently") as error:
        github.create_issue("title", "body", [])
    assert "GITHUB_REPOSITORY" in error.value.remedy
    assert len(server.asked) == 1


# The token


@pytest.mark.parametrize(
    "answer", [Answer(401, {"message": f"Bad credentials {TOKEN}"}), Answer(500, {"message": TOKEN})]
)
def test_the_token_is_in_no_message_even_where_the_server_repeats_it(
    github: GitHub, server: Server, capsys: pytest.CaptureFixture[str], answer: Answer
) -> None:
    server.script = [answer] * TRIES
    with pytest.raises((Refused, Unreachable)) as error:
        github.pull(1)
    assert TOKEN not in f"{error.value} {error.value.remedy} {error.value!r}"
    assert TOKEN not in capsys.readouterr().err


@pytest.mark.parametrize("token", ["two words", "line\n", "naïve", "", "\x7f"])
def test_a_token_that_cannot_be_one_is_refused_before_anything_is_sent(token: str) -> None:
    with pytest.raises(InputError, match="GITHUB_TOKEN") as error:
        GitHub("acme/fraud", token)
    assert token == "" or token not in str(error.value)


@pytest.mark.parametrize("repository", ["acme", "acme/fraud/x", "acme/../x", "acme/fr aud", "", "acme/.."])
def test_a_repository_is_owner_and_name(repository: str) -> None:
    with pytest.raises(InputError, match="OWNER/NAME"):
        GitHub(repository, TOKEN)


@pytest.mark.parametrize("api", ["api.github.com", "ftp://x", "http://", "http://[::1"])
def test_an_invalid_api_url_is_an_error(api: str, slept: list[float]) -> None:
    with pytest.raises(InputError, match="GITHUB_API_URL"):
        GitHub("acme/fraud", TOKEN, api, sleep=slept.append).pull(1)
    assert slept == []


def test_the_environment_names_repository_token_and_api(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/other")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    server.script = [Answer(body={})]
    GitHub.from_environment().pull(1)
    assert server.asked[0].path == "/repos/acme/other/pulls/1"


def test_what_the_environment_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/other")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"^GITHUB_TOKEN not set"):
        GitHub.from_environment()
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(InputError, match=r"^GITHUB_REPOSITORY and GITHUB_TOKEN not set"):
        GitHub.from_environment()


def test_a_comment_that_is_gone_already_counts_as_deleted(server: Server, github: GitHub) -> None:
    server.script = [Answer(404, {"message": "Not Found"}), Answer(204)]
    github.delete_comment(5)
    github.delete_comment(6)
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("DELETE", "/repos/acme/fraud/issues/comments/5"),
        ("DELETE", "/repos/acme/fraud/issues/comments/6"),
    ]


def test_open_pull_requests_are_those_of_the_one_branch(server: Server, github: GitHub) -> None:
    server.script = [Answer(body=[{"number": 1, "head": {"ref": "other"}}, {"number": 2, "head": {"ref": "a b"}}])]
    assert [pull["number"] for pull in github.open_pulls("a b")] == [2]
    assert server.asked[0].path == "/repos/acme/fraud/pulls?per_page=100&state=open&head=acme%3Aa+b"


# Pull requests of a commit, artifacts by name, releases


def test_the_pull_requests_of_a_commit_and_their_reviews_come_in_pages(github: GitHub, server: Server) -> None:
    for path, ask in (
        (f"/repos/acme/fraud/commits/{'a' * 40}/pulls", lambda: github.commit_pulls("a" * 40)),
        ("/repos/acme/fraud/pulls/7/reviews", lambda: github.reviews(7)),
    ):
        link = {"Link": f'<{path}?page=2>; rel="next"'}
        server.script, server.asked = [Answer(body=[{"id": 1}], headers=link), Answer(body=[{"id": 2}])], []
        assert [found["id"] for found in ask()] == [1, 2]
        assert [asked.path for asked in server.asked] == [f"{path}?per_page=100", f"{path}?page=2"]


def test_artifacts_are_requested_by_name_and_come_as_github_orders_them(github: GitHub, server: Server) -> None:
    server.script = [Answer(body={"total_count": 2, "artifacts": [{"id": 9}, {"id": 3}]})]
    assert [artifact["id"] for artifact in github.artifacts_named("a review")] == [9, 3]
    assert server.asked[0].path == "/repos/acme/fraud/actions/artifacts?per_page=100&name=a+review"


def test_a_release_is_found_by_its_tag_whatever_characters_it_has(github: GitHub, server: Server) -> None:
    server.script = [Answer(body={"id": 1, "tag_name": "fraud#production#7"})]
    assert github.release("fraud#production#7") == {"id": 1, "tag_name": "fraud#production#7"}
    assert server.asked[0].path == "/repos/acme/fraud/releases/tags/fraud%23production%237"


def test_a_release_that_is_not_there_is_none_and_whatever_else_goes_wrong_is_an_error(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    server.script = [Answer(404, {"message": "Not Found"})]
    assert github.release("fraud@v1.2.0") is None
    server.script = [Answer(403, {"message": "Forbidden"})]
    with pytest.raises(Refused, match="403 Forbidden"):
        github.release("fraud@v1.2.0")
    server.script = [Answer(502)] * TRIES
    with pytest.raises(Unreachable):
        github.release("fraud@v1.2.0")
    assert len(slept) == TRIES - 1


def test_a_404_of_any_other_question_stays_an_error(github: GitHub, server: Server) -> None:
    server.script = [Answer(404)] * 2
    with pytest.raises(InputError, match="404"):
        list(github.commit_pulls("a" * 40))
    with pytest.raises(InputError, match="404"):
        github.create_release("fraud@v1.2.0", "title", "body")


@pytest.fixture(scope="module")
def shared_fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubFake]:
    """emulate behind GitHub's own description. Needs `make workflow-tools`."""
    yield from running(tmp_path_factory.mktemp("github"))


@pytest.fixture
def fake(shared_fake: GitHubFake) -> Iterator[GitHubFake]:
    """An empty one, which must have found every request as GitHub describes it."""
    shared_fake.reset()
    yield shared_fake
    assert shared_fake.invalid == []


def test_a_release_is_made_once_for_a_tag_and_found_again(fake: GitHubFake) -> None:
    github = GitHub(REPOSITORY, FAKE_TOKEN, fake.url)
    assert github.release("fraud@v1.2.0") is None
    made = github.create_release("fraud@v1.2.0", "fraud@v1.2.0", "| in production |\n`as` #7")
    assert (github.release("fraud@v1.2.0") or {})["id"] == made["id"]
    assert (made["name"], made["body"]) == ("fraud@v1.2.0", "| in production |\n`as` #7")
    with pytest.raises(InputError, match="422"):
        github.create_release("fraud@v1.2.0", "again", "")
    assert permissions(fake.requests) == {"contents": "write"}


def test_requests_for_pull_requests_reviews_and_artifacts_follow_githubs_description(fake: GitHubFake) -> None:
    github = GitHub(REPOSITORY, FAKE_TOKEN, fake.url)
    number = fake.pull("change")
    fake.approve(number, BOB)
    assert [(found["user"]["login"], found["state"]) for found in github.reviews(number)] == [("bob", "APPROVED")]
    fake.merge(number, "a" * 40)
    assert [found["number"] for found in github.commit_pulls("a" * 40)] == [number]
    assert list(github.commit_pulls("b" * 40)) == []
    ids = [fake.artifact(run, "review", b"zip") for run in (1, 2)]
    assert [found["id"] for found in github.artifacts_named("review")] == ids[::-1]
    assert fake.asked[-1] == "GET /actions/artifacts"
    assert fake.requests[-1].query == {"per_page": "100", "name": "review"}
