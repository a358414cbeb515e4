"""Verification by cosign: a stand-in that takes the documented command line alone and knows one signed image."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import Refused, Unreachable
from pipelines.release import signed

SIGNER = "https://github.com/acme/fraud/.github/workflows/release.yml@refs/heads/main"
IMAGE = "ghcr.io/acme/fraud@sha256:" + "a" * 64
STAND_IN = f"""#!/bin/sh
[ "$#" = 6 ] && [ "$1 $2 $4" = "verify --certificate-identity --certificate-oidc-issuer" ] || exit 64
[ "$3" = "{SIGNER}" ] && [ "$5" = "{signed.ISSUER}" ] && [ "$6" = "{IMAGE}" ] && exit 0
echo "Error: no matching signatures" >&2
exit 10
"""


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cosign").write_text(STAND_IN)
    (tmp_path / "cosign").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("IMAGE_SIGNER", SIGNER)


def test_an_image_that_the_workflow_signed_passes(cosign: None) -> None:
    assert signed.verify(IMAGE) == f"Signed by {SIGNER}."


def test_another_image_is_refused_with_what_cosign_says(cosign: None) -> None:
    with pytest.raises(Refused, match="no matching signatures"):
        signed.verify(IMAGE.replace("a" * 64, "b" * 64))


def test_another_signer_is_refused(cosign: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SIGNER", "somebody")
    with pytest.raises(Refused, match="not signed by somebody"):
        signed.verify(IMAGE)


def test_no_verification_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_SIGNER", raising=False)
    assert signed.verify(IMAGE).startswith("Not verified")


def test_a_demand_without_cosign_is_never_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGE_SIGNER", SIGNER)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="cosign is not installed"):
        signed.verify(IMAGE)
