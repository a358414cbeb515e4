"""What `release image` tells the job: which image, and whether it must be signed. Cosign is a stand-in. Needs git."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import config
from pipelines.git import git
from pipelines.release import ahead, candidate, provide
from pipelines.release.candidate import Candidate
from tests.fixtures_repo import ROOT

DIGEST = "sha256:" + "a" * 64
SIGNER = "https://github.com/acme/fraud/.github/workflows/release.yml@refs/heads/main"


@pytest.fixture
def job(line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that signs images, and none is signed yet; the file of its outputs."""
    out = tmp_path / "output"
    standin = ROOT / "tests/workflows/standins/cosign-installer/bin"
    (tmp_path / "signatures").touch()
    for name, value in {
        "GITHUB_OUTPUT": str(out),
        "HARNESS_ARTIFACTS": str(tmp_path),
        "IMAGE_REPOSITORY": "ghcr.io/acme/fraud",
        "IMAGE_SIGNER": SIGNER,
        "PATH": f"{standin}:/usr/bin:/bin",
    }.items():
        monkeypatch.setenv(name, value)
    found = Candidate(git("rev-parse", "HEAD"), "a" * 12, config.load(ROOT / "params.yaml"), {})
    monkeypatch.setattr(candidate, "of", lambda revision: found)
    provided(monkeypatch, built=False)
    return out


def provided(monkeypatch: pytest.MonkeyPatch, built: bool) -> None:
    monkeypatch.setattr(provide, "image", lambda *_: (DIGEST, built))


def told(job: Path) -> dict[str, str]:
    """The outputs of `release image`."""
    job.write_text("")
    assert ahead.image("HEAD") == 0
    return dict(line.split("=", 1) for line in job.read_text().splitlines())


def test_an_image_that_was_built_is_to_be_signed(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provided(monkeypatch, built=True)
    assert told(job) == {"repository": "ghcr.io/acme/fraud", "digest": DIGEST, "sign": "true"}


def test_an_image_that_git_names_and_nobody_signed_is_to_be_signed(job: Path) -> None:
    assert told(job)["sign"] == "true"


def test_an_image_is_signed_once(job: Path) -> None:
    (job.parent / "signatures").write_text(f"{SIGNER} ghcr.io/acme/fraud@{DIGEST}\n")
    assert told(job)["sign"] == "false"


def test_where_nobody_signs_images_nothing_is_to_be_signed(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SIGNER", "")
    for built in (True, False):
        provided(monkeypatch, built)
        assert told(job)["sign"] == "false"
