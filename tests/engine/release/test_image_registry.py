"""What skopeo says of a registry: that something is not there, or that nobody can tell. Skopeo is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli.errors import Unreachable
from pipelines.release.image_registry import Registry

DIGEST = "sha256:" + "a" * 64
# What skopeo 1.9 prints, tried against Debian's docker-registry and servers that answer as others do.
READING = 'level=fatal msg="Error parsing image name \\"docker://h/fraud:x\\": reading manifest x in h/fraud: '
NOT_THERE = {
    "a tag or a digest that Debian's registry lacks": READING + 'manifest unknown: manifest unknown"',
    "a repository that ECR lacks": READING + "name unknown: The repository with name 'fraud' does not exist\"",
    "an artifact that Harbor lacks": READING + 'unknown: artifact fraud:x not found"',
    "a 404 without a reason": READING + 'StatusCode: 404, 404 page not found"',
}
NOBODY_TELLS = {
    "a helper of credentials that is not installed": "getting username and password: 1 error occurred:\\n\\t* error "
    'getting credentials - err: exec: \\"docker-credential-ecr-login\\": executable file not found in $PATH, out: ``',
    "a host without a name": 'pinging container registry h: Get \\"https://h/v2/\\": dial tcp: lookup h: no such host',
    "a server that is no registry": "pinging container registry h: invalid status code from registry 404 (Not Found)",
    "a backend that fails": READING + "received unexpected HTTP status: 500 backend not found",
    "a login that lacks the right": READING + "denied: manifest unknown to you",
}


def saying(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry asked by a stand-in of skopeo that prints a text and fails."""
    (folder / "text").write_text(text)
    (folder / "skopeo").write_text(f"#!/bin/sh\ncat {folder}/text >&2\nexit 1\n")
    (folder / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Registry("h/fraud")


@pytest.mark.parametrize("text", NOT_THERE.values(), ids=NOT_THERE)
def test_what_a_registry_does_not_hold_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    registry = saying(tmp_path, text, monkeypatch)
    assert registry.digest("x") is None
    assert not registry.exists(DIGEST)


@pytest.mark.parametrize("text", NOBODY_TELLS.values(), ids=NOBODY_TELLS)
def test_what_cannot_be_asked_is_never_taken_for_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    registry = saying(tmp_path, text, monkeypatch)
    for ask in (lambda: registry.digest("x"), lambda: registry.exists(DIGEST)):
        with pytest.raises(Unreachable, match="the registry of h/fraud says"):
            ask()


def test_a_long_reason_does_not_hide_that_something_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = saying(tmp_path, READING + "name unknown: " + "no such repository, " * 40, monkeypatch)
    assert registry.digest("x") is None


@pytest.mark.parametrize(
    ("repository", "options"),
    [
        ("127.0.0.1:5000/fraud", 1),
        ("localhost/fraud", 1),
        ("ghcr.io/acme/fraud", 0),
        ("127.0.0.1.example.org/fraud", 0),
        ("localhost.example.org:5000/fraud", 0),
    ],
)
def test_only_a_registry_on_loopback_is_asked_without_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, options: int
) -> None:
    (tmp_path / "skopeo").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    registry = Registry(repository)
    registry.exists(DIGEST)
    registry.move("production", DIGEST)
    inspect, copy = (tmp_path / "asked").read_text().splitlines()
    assert (inspect.count("tls-verify=false"), copy.count("tls-verify=false")) == (options, 2 * options)
