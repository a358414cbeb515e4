"""Whether an error of skopeo means a missing image or an unreachable image registry. Skopeo is a stand-in."""

from pathlib import Path

import pytest

from pipelines.cli.errors import Unreachable
from pipelines.release.image_registry import ImageRegistry

DIGEST = "sha256:" + "a" * 64
# What skopeo 1.9 prints, tried against Debian's docker-registry and servers that answer as others do.
READING = 'level=fatal msg="Error parsing image name \\"docker://h/fraud:x\\": reading manifest x in h/fraud: '
MISSING = {
    "a tag or a digest that Debian's registry lacks": READING + 'manifest unknown: manifest unknown"',
    "a repository that ECR lacks": READING + "name unknown: The repository with name 'fraud' does not exist\"",
    "an artifact that Harbor lacks": READING + 'unknown: artifact fraud:x not found"',
    "a 404 without a reason": READING + 'StatusCode: 404, 404 page not found"',
}
UNREACHABLE = {
    "a helper of credentials that is not installed": "getting username and password: 1 error occurred:\\n\\t* error "
    'getting credentials - err: exec: \\"docker-credential-ecr-login\\": executable file not found in $PATH, out: ``',
    "a host without a name": 'pinging container registry h: Get \\"https://h/v2/\\": dial tcp: lookup h: no such host',
    "a server that is no registry": "pinging container registry h: invalid status code from registry 404 (Not Found)",
    "a backend that fails": READING + "received unexpected HTTP status: 500 backend not found",
    "a login that lacks the right": READING + "denied: manifest unknown to you",
}


def failing_registry(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> ImageRegistry:
    """An image registry behind a stand-in of skopeo that prints a text and fails."""
    (folder / "text").write_text(text)
    (folder / "skopeo").write_text(f"#!/bin/sh\ncat {folder}/text >&2\nexit 1\n")
    (folder / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return ImageRegistry("h/fraud")


@pytest.mark.parametrize("text", MISSING.values(), ids=MISSING)
def test_missing_image_is_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    image_registry = failing_registry(tmp_path, text, monkeypatch)
    assert image_registry.find_digest("x") is None
    assert not image_registry.has_image(DIGEST)


@pytest.mark.parametrize("text", UNREACHABLE.values(), ids=UNREACHABLE)
def test_other_registry_errors_are_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    image_registry = failing_registry(tmp_path, text, monkeypatch)
    for ask in (lambda: image_registry.find_digest("x"), lambda: image_registry.has_image(DIGEST)):
        with pytest.raises(Unreachable, match="the image registry of h/fraud returned an error"):
            ask()


def test_missing_image_is_recognized_in_a_long_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_registry = failing_registry(tmp_path, READING + "name unknown: " + "no such repository, " * 40, monkeypatch)
    assert image_registry.find_digest("x") is None


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
def test_tls_is_not_required_only_on_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, options: int
) -> None:
    (tmp_path / "skopeo").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    image_registry = ImageRegistry(repository)
    image_registry.has_image(DIGEST)
    image_registry.move_tag("production", DIGEST)
    inspect, copy = (tmp_path / "asked").read_text().splitlines()
    assert (inspect.count("tls-verify=false"), copy.count("tls-verify=false")) == (options, 2 * options)
