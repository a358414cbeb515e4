"""The client against a scripted server; no sleep is real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.github import transport
from pipelines.github.client import GitHub
from tests.engine.github.scripted_server import TOKEN, Server


@pytest.fixture(autouse=True)
def _no_proxy_and_no_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def server() -> Iterator[Server]:
    scripted = Server()
    yield scripted
    scripted.close()


@pytest.fixture
def other_server() -> Iterator[Server]:
    """A server that the client takes for another host, since its port differs."""
    scripted = Server()
    yield scripted
    scripted.close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait; none is real."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@pytest.fixture
def github(server: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> GitHub:
    monkeypatch.setattr(transport, "TIMEOUT", (0.5, 0.2))
    return GitHub("acme/fraud", TOKEN, server.url + "/")
