"""Whether an image is signed by whom it must be: cosign's keyless signature, made by the workflow release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from pipelines.cli.errors import Refused, Unreachable

SIGNER = "IMAGE_SIGNER"
ISSUER = "https://token.actions.githubusercontent.com"
# What cosign 2 and 3 say where they looked and found none that holds; in a bundle it is an attestation. Its exit codes
# do not tell that from an outage. With `searching log query` it was Rekor, the log, that did not answer.
_NOT_SIGNED = re.compile(
    r"^(?:Error: |.*error during command execution: )no (?:matching signatures|signatures found|matching attestations)",
    re.MULTILINE,
)
_NO_ANSWER = "searching log query"


def verify(reference: str) -> str:
    """Check the signature of an image where IMAGE_SIGNER names who must have made it.

    Args:
        reference: REPOSITORY@DIGEST.

    Returns:
        What to say of it.

    Raises:
        Refused: if it is not signed, or by somebody else.
        Unreachable: if cosign is not installed, or cannot ask the registry or the log.
    """
    signer = os.environ.get(SIGNER, "")
    if not signer:
        return f"Not verified: {SIGNER} names nobody who signs images."
    reason = _fault(reference, signer)
    if reason:
        raise Refused(
            f"{reference} is not signed by {signer}: {reason}",
            "Nothing was deployed. Run the workflow `release`: it builds and signs anew. Find out who pushed this one.",
        )
    return f"Signed by {signer}."


def is_trusted(reference: str) -> bool:
    """Whether an image is signed, or nobody signs images.

    Raises:
        Unreachable: if cosign is not installed, or cannot ask the registry or the log.
    """
    signer = os.environ.get(SIGNER, "")
    return not signer or not _fault(reference, signer)


def _fault(reference: str, signer: str) -> str:
    """Why the signature does not hold, in cosign's words; empty if it does."""
    if shutil.which("cosign") is None:
        raise Unreachable(f"{SIGNER} is set, and cosign is not installed", "Install cosign, then run it again.")
    command = ["cosign", "verify", "--certificate-identity", signer, "--certificate-oidc-issuer", ISSUER, reference]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if not done.returncode:
        return ""
    said = done.stderr or done.stdout
    words = " ".join(said.split())[-300:] or f"nothing, and ended with {done.returncode}"
    if _NOT_SIGNED.search(said) and _NO_ANSWER not in said:
        return words
    raise Unreachable(
        f"whether {reference} is signed cannot be told; cosign says: {words}",
        "Log in (`docker login`), or wait for the registry or sigstore's log, and run it again.",
    )
