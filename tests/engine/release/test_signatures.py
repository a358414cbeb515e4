"""Verification by cosign: a stand-in that accepts only the documented command line and knows one signed image."""

from pathlib import Path

import pytest

from pipelines.cli.errors import Refused, Unreachable
from pipelines.release import signatures

SIGNER = "https://github.com/acme/fraud/.github/workflows/release.yml@refs/heads/main"
IMAGE = "ghcr.io/acme/fraud@sha256:" + "a" * 64
STAND_IN = f"""#!/bin/sh
[ "$#" = 6 ] && [ "$1 $2 $4" = "verify --certificate-identity --certificate-oidc-issuer" ] || exit 64
[ "$3" = "{SIGNER}" ] && [ "$5" = "{signatures.ISSUER}" ] && [ "$6" = "{IMAGE}" ] && exit 0
echo "${{COSIGN_SAYS:-Error: no matching signatures: none of the expected identities matched}}" >&2
exit 12
"""
# What cosign 2 and 3 print if there is no valid signature.
NO = [
    "Error: no signatures found\nerror during command execution: no signatures found",
    "Error: no matching signatures: none of the expected identities matched what was in the certificate",
    "Error: no matching attestations: failed to verify certificate identity: no matching CertificateIdentity found",
    "WARNING: an old flag\nError: no matching signatures: no certificate found on signature",
]
OUTAGES = [
    "Error: image tag not found: entity not found in registry",
    'Error: Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io: no such host',
    "Error: GET https://ghcr.io/token?scope=repository: DENIED: requested access to the resource is denied",
    "Error: setting trusted material: updating TUF metadata: context deadline exceeded",
    # For a signature without an entry of the log, cosign searches Rekor.
    'Error: no matching signatures: searching log query: Post "https://rekor.sigstore.dev/": dial tcp: i/o timeout',
    "Error: no matching signatures: searching log query: [POST /api/v1/log/entries/retrieve][503]",
    'Error: Get "https://ghcr.io/v2/acme/fraud/manifests/1": no signatures found on the way',
    "flag provided but not defined",
]


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cosign").write_text(STAND_IN)
    (tmp_path / "cosign").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("IMAGE_SIGNER", SIGNER)


def test_image_signed_by_the_workflow_is_accepted(cosign: None) -> None:
    assert signatures.verify_signature(IMAGE) == f"Signed by {SIGNER}."


def test_unsigned_image_is_refused_with_cosigns_reason(cosign: None) -> None:
    with pytest.raises(Refused, match="no matching signatures") as error:
        signatures.verify_signature(IMAGE.replace("a" * 64, "b" * 64))
    assert "workflow `release`" in error.value.remedy  # nobody else can sign in its name


def test_image_of_another_signer_is_refused(cosign: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SIGNER", "somebody")
    with pytest.raises(Refused, match="not signed by somebody"):
        signatures.verify_signature(IMAGE)


@pytest.mark.parametrize("says", NO)
def test_missing_or_invalid_signature_is_refused(cosign: None, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    monkeypatch.setenv("COSIGN_SAYS", says)
    other = IMAGE.replace("a" * 64, "b" * 64)
    assert not signatures.is_trusted(other)
    with pytest.raises(Refused):
        signatures.verify_signature(other)


@pytest.mark.parametrize("says", OUTAGES)
def test_outage_is_unreachable_not_a_missing_signature(
    cosign: None, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    monkeypatch.setenv("COSIGN_SAYS", says)
    other = IMAGE.replace("a" * 64, "b" * 64)
    for ask in (signatures.is_trusted, signatures.verify_signature):
        with pytest.raises(Unreachable) as error:
            ask(other)
        assert says.splitlines()[0] in str(error.value)


def test_skipped_verification_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_SIGNER", raising=False)
    assert signatures.verify_signature(IMAGE).startswith("Not verified")


def test_missing_cosign_is_an_error_if_a_signer_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGE_SIGNER", SIGNER)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="cosign is not installed"):
        signatures.verify_signature(IMAGE)
