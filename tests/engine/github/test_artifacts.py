"""Downloads of artifacts, which GitHub redirects to another host."""

import pytest

from pipelines.cli.errors import Refused, Unreachable
from pipelines.github.client import GitHub
from pipelines.github.transport import TRIES
from tests.engine.github.scripted_server import TOKEN, Response, Server


def test_an_artifact_is_fetched_from_another_host_without_the_token(
    github: GitHub, server: Server, other_server: Server
) -> None:
    server.script = [Response(302, headers={"Location": f"{other_server.url}/blob?sig=secret"})]
    other_server.script = [Response(body=b"PK zip", headers={"Content-Type": "application/zip"})]
    assert github.download_artifact(9, 100) == b"PK zip"
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert other_server.requests[0].path == "/blob?sig=secret"
    assert TOKEN not in str(other_server.requests[0].headers)
    assert "Authorization" not in other_server.requests[0].headers


def test_the_signed_url_of_an_artifact_is_in_no_message(github: GitHub, server: Server, other_server: Server) -> None:
    server.script = [Response(302, headers={"Location": f"{other_server.url}/blob?sig=secret"})]
    other_server.script = [Response(403, b"<Error>expired</Error>")]
    with pytest.raises(Refused, match="GET /repos/acme/fraud/actions/artifacts/9/zip: 403") as error:
        github.download_artifact(9, 100)
    assert "secret" not in f"{error.value} {error.value.remedy}"


def test_an_artifact_larger_than_the_limit_is_refused(github: GitHub, server: Server) -> None:
    server.script = [Response(body=b"x" * 1000), Response(body=b"x" * 1001)]
    assert len(github.download_artifact(9, 1000)) == 1000
    with pytest.raises(Refused, match="artifact 9 has more than 1,000 bytes"):
        github.download_artifact(9, 1000)


def test_an_artifact_without_a_true_content_length_is_refused_at_the_limit(github: GitHub, server: Server) -> None:
    # Chunked and without an end: reading to the end would never return.
    endless = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "5"}
    server.script = [Response(body=endless * 40, headers=headers)]
    with pytest.raises(Refused, match="more than 1,000,000 bytes"):
        github.download_artifact(9, 1_000_000)
    assert len(server.requests) == 1


def test_an_interrupted_download_is_retried(github: GitHub, server: Server) -> None:
    server.script = [Response(body=b"x" * 200_000, failure="half"), Response(body=b"x" * 200_000)]
    assert github.download_artifact(9, 200_000) == b"x" * 200_000


def test_interrupted_downloads_of_every_try_raise_unreachable(github: GitHub, server: Server) -> None:
    server.script = [Response(body=b"x" * 200_000, failure="half")] * TRIES
    with pytest.raises(Unreachable, match="artifacts/9/zip"):
        github.download_artifact(9, 200_000)
