"""Requests of the client: token, headers, errors and environment variables."""

from typing import Any

import pytest

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.github.client import GitHub
from pipelines.github.transport import TRIES
from tests.engine.github.scripted_server import TOKEN, Response, Server


def test_a_request_has_the_token_the_api_version_and_the_repository(github: GitHub, server: Server) -> None:
    server.script = [Response(body={"number": 7})]
    assert github.pull(7) == {"number": 7}
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/repos/acme/fraud/pulls/7")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"


def test_a_netrc_does_not_replace_the_token(github: GitHub, server: Server, tmp_path: Any) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    server.script = [Response(body={})]
    github.pull(7)
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_comment_is_sent_unchanged(github: GitHub, server: Server) -> None:
    server.script = [Response(201, {"id": 1})]
    text = 'a `quote`, "two", $(three) and ünïcode'
    assert github.create_comment(3, text) == {"id": 1}
    assert server.requests[0].body == {"body": text}


def test_an_empty_response_is_accepted(github: GitHub, server: Server) -> None:
    server.script = [Response(204)]
    github.dispatch("test.yml", "main")
    assert server.requests[0].body == {"ref": "main"}


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Refused), (403, Refused), (404, InputError), (410, InputError), (422, InputError)]
)
def test_a_4xx_response_raises_an_error_with_githubs_message(
    github: GitHub, server: Server, slept: list[float], status: int, kind: type[Exception]
) -> None:
    server.script = [Response(status, {"message": "Resource not accessible by integration"})]
    with pytest.raises(kind, match=f"^GitHub: GET /repos/acme/fraud/pulls/1: {status} Resource not accessible by"):
        github.pull(1)
    assert slept == []


def test_the_error_of_each_field_is_in_the_message(github: GitHub, server: Server) -> None:
    errors = [
        {"resource": "Label", "field": "color", "code": "invalid"},
        {"resource": "Label", "code": "custom", "message": "name is\ntoo long"},
        "Invalid rule 'x'",
    ]
    server.script = [Response(422, {"message": "Validation Failed", "errors": errors})]
    with pytest.raises(InputError) as error:
        github.call("POST", "labels", {"name": "a", "color": "xyz"})
    assert str(error.value).endswith("422 Validation Failed: color invalid; name is too long; Invalid rule 'x'")


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"\xff\xfe", [], {"message": None}, {"message": 3, "errors": 5}, {"errors": [None, {}]}]
)
def test_an_error_with_an_unexpected_body_is_one_line(github: GitHub, server: Server, body: Any) -> None:
    server.script = [Response(404, body)]
    with pytest.raises(InputError, match=r"^GitHub: GET /repos/acme/fraud/pulls/1: 404") as error:
        github.pull(1)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_post_does_not_follow_the_redirect_of_a_moved_repository(github: GitHub, server: Server, status: int) -> None:
    server.script = [Response(status, {"message": "Moved Permanently"}, {"Location": f"{server.url}/repositories/1"})]
    with pytest.raises(InputError, match=f"{status} Moved Permanently") as error:
        github.create_issue("title", "body", [])
    assert "GITHUB_REPOSITORY" in error.value.remedy
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "response", [Response(401, {"message": f"Bad credentials {TOKEN}"}), Response(500, {"message": TOKEN})]
)
def test_the_token_is_in_no_message(
    github: GitHub, server: Server, capsys: pytest.CaptureFixture[str], response: Response
) -> None:
    server.script = [response] * TRIES
    with pytest.raises((Refused, Unreachable)) as error:
        github.pull(1)
    assert TOKEN not in f"{error.value} {error.value.remedy} {error.value!r}"
    assert TOKEN not in capsys.readouterr().err


@pytest.mark.parametrize("token", ["two words", "line\n", "naïve", "", "\x7f"])
def test_an_invalid_token_is_an_input_error(token: str) -> None:
    with pytest.raises(InputError, match="GITHUB_TOKEN") as error:
        GitHub("acme/fraud", token)
    assert token == "" or token not in str(error.value)


@pytest.mark.parametrize("repository", ["acme", "acme/fraud/x", "acme/../x", "acme/fr aud", "", "acme/.."])
def test_a_repository_without_owner_and_name_is_an_input_error(repository: str) -> None:
    with pytest.raises(InputError, match="OWNER/NAME"):
        GitHub(repository, TOKEN)


@pytest.mark.parametrize("api", ["api.github.com", "ftp://x", "http://", "http://[::1"])
def test_an_invalid_api_url_is_an_input_error(api: str, slept: list[float]) -> None:
    with pytest.raises(InputError, match="GITHUB_API_URL"):
        GitHub("acme/fraud", TOKEN, api).pull(1)
    assert slept == []


def test_repository_token_and_api_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/other")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    server.script = [Response(body={})]
    GitHub.from_environment().pull(1)
    assert server.requests[0].path == "/repos/acme/other/pulls/1"


def test_missing_environment_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/other")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"^GITHUB_TOKEN not set"):
        GitHub.from_environment()
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(InputError, match=r"^GITHUB_REPOSITORY and GITHUB_TOKEN not set"):
        GitHub.from_environment()
