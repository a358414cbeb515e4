"""Retries of the client after timeouts, 5xx responses and rate limits; no sleep is real."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.cli.errors import Unreachable
from pipelines.github.client import GitHub
from pipelines.github.transport import PATIENCE, TRIES
from tests.engine.github.scripted_server import TOKEN, Response, Server


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_5xx_response_is_retried_with_growing_waits(github: GitHub, server: Server, slept: list[float]) -> None:
    server.script = [Response(500), Response(502), Response(503), Response(body={"number": 1})]
    assert github.pull(1) == {"number": 1}
    assert slept == [1, 2, 4]


def test_5xx_responses_to_every_try_raise_unreachable(github: GitHub, server: Server, slept: list[float]) -> None:
    server.script = [Response(502, b"<html>Unicorn!</html>")] * TRIES
    with pytest.raises(Unreachable, match=r"^GitHub: GET /repos/acme/fraud/pulls/1: 502$") as error:
        github.pull(1)
    assert "githubstatus.com" in error.value.remedy
    assert slept == [1, 2, 4, 8]


def test_retry_after_sets_the_wait(github: GitHub, server: Server, slept: list[float]) -> None:
    limit = {"message": "You have exceeded a secondary rate limit."}
    busy = Response(503, headers={"Retry-After": "11"})
    server.script = [Response(403, limit, {"Retry-After": "17"}), Response(429, limit, {"Retry-After": "3"}), busy]
    server.script.append(Response(body={}))
    github.pull(1)
    assert slept == [17, 3, 11]


@pytest.mark.parametrize("after", ["soon", "", "Wed, 21 Oct 2099 07:28:00 GMT", "-1", "1.5", "²"])
def test_an_invalid_retry_after_is_ignored(github: GitHub, server: Server, slept: list[float], after: str) -> None:
    server.script = [Response(429, headers={"Retry-After": after}), Response(body={})]
    github.pull(1)
    assert slept == [60]


@pytest.mark.parametrize("status", [403, 429])
def test_a_request_waits_until_the_primary_rate_limit_ends(
    github: GitHub, server: Server, slept: list[float], status: int
) -> None:
    reset = str(int(time.time()) + 40)
    limit = {"message": "API rate limit exceeded for installation."}
    server.script = [Response(status, limit, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})]
    server.script.append(Response(body={}))
    github.pull(1)
    assert len(slept) == 1
    assert 38 < slept[0] <= 42


def test_a_rate_limit_that_ended_by_the_local_clock_causes_a_wait_of_a_second(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    server.script = [Response(403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}), Response(body={})]
    github.pull(1)
    assert slept == [1]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3000)},
        {"Retry-After": "3600"},
    ],
)
def test_a_rate_limit_longer_than_the_patience_raises_unreachable_without_a_wait(
    github: GitHub, server: Server, slept: list[float], headers: dict[str, str]
) -> None:
    server.script = [Response(403, {"message": "API rate limit exceeded"}, headers)]
    with pytest.raises(Unreachable, match="403 API rate limit exceeded") as error:
        github.pull(1)
    assert "minutes" in error.value.remedy
    assert slept == []


def test_a_secondary_rate_limit_without_a_header_causes_waits_of_one_and_two_minutes(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    limit = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
    server.script = [Response(403, limit), Response(429), Response(body={})]
    github.pull(1)
    assert slept == [60, 120]


def test_the_waits_of_a_request_do_not_exceed_the_patience(github: GitHub, server: Server, slept: list[float]) -> None:
    server.script = [Response(429, headers={"Retry-After": str(int(PATIENCE / 2))})] * 3
    with pytest.raises(Unreachable, match="429"):
        github.pull(1)
    assert sum(slept) <= PATIENCE
    assert len(server.requests) == 3


def test_a_wait_is_printed(github: GitHub, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = [Response(429, headers={"Retry-After": "30"}), Response(body={})]
    github.pull(1)
    assert "429; trying again in 30 s" in capsys.readouterr().err


POSTS: list[Callable[[GitHub], Any]] = [
    lambda github: github.create_comment(1, "text"),
    lambda github: github.create_issue("title", "body", ["audit"]),
    lambda github: github.create_check("0" * 40, "review", "success", "title", "summary"),
    lambda github: github.dispatch("test.yml", "main"),
    lambda github: github.create_release("fraud@v1.2.0", "title", "body"),
]


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize(
    "response", [Response(failure="silent"), Response(failure="dropped"), Response(502), Response(504)]
)
def test_a_post_that_github_may_have_processed_is_not_retried(
    github: GitHub, server: Server, slept: list[float], post: Callable[[GitHub], Any], response: Response
) -> None:
    server.script = [response]
    with pytest.raises(Unreachable) as error:
        post(github)
    assert "may have processed" in str(error.value)
    assert len(server.requests) == 1
    assert slept == []


def test_a_post_with_half_a_response_is_not_retried(github: GitHub, server: Server) -> None:
    server.script = [Response(201, {"id": 12345}, failure="half")]
    with pytest.raises(Unreachable, match="may have processed"):
        github.create_comment(1, "text")
    assert len(server.requests) == 1


@pytest.mark.parametrize("post", POSTS)
def test_a_post_that_github_has_not_processed_is_retried(
    github: GitHub, server: Server, slept: list[float], post: Callable[[GitHub], Any]
) -> None:
    limit = {"message": "You have exceeded a secondary rate limit."}
    server.script = [Response(500), Response(503), Response(429, headers={"Retry-After": "5"}), Response(403, limit)]
    server.script.append(Response(201, {"id": 1}))
    post(github)
    assert len(server.requests) == 5
    assert slept == [1, 2, 5, 60]


def test_a_post_that_was_not_sent_is_retried(slept: list[float]) -> None:
    github = GitHub("acme/fraud", TOKEN, f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(Unreachable, match=r"POST /repos/acme/fraud/issues/1/comments: ConnectionError$"):
        github.create_comment(1, "text")
    assert len(slept) == TRIES - 1


@pytest.mark.parametrize("failure", ["silent", "dropped"])
def test_a_get_and_a_patch_are_retried_after_a_broken_connection(github: GitHub, server: Server, failure: str) -> None:
    server.script = [
        Response(failure=failure),
        Response(body={"number": 1}),
        Response(failure=failure),
        Response(body={"id": 2}),
    ]
    assert github.pull(1) == {"number": 1}
    assert github.update_comment(2, "text") == {"id": 2}
    assert [request.method for request in server.requests] == ["GET", "GET", "PATCH", "PATCH"]


def test_timeouts_of_every_try_raise_unreachable(github: GitHub, server: Server, slept: list[float]) -> None:
    server.script = [Response(failure="silent")] * TRIES
    with pytest.raises(Unreachable, match="ReadTimeout"):
        github.pull(1)
    assert len(slept) == TRIES - 1


def test_a_get_with_half_a_response_is_retried(github: GitHub, server: Server) -> None:
    server.script = [Response(body={"number": 1}, failure="half"), Response(body={"number": 1})]
    assert github.pull(1) == {"number": 1}


def test_responses_that_are_not_json_raise_unreachable(github: GitHub, server: Server) -> None:
    server.script = [Response(body=b"<html>Sign in to the network</html>")] * TRIES
    with pytest.raises(Unreachable, match="JSONDecodeError"):
        github.pull(1)
