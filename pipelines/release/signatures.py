"""Verifying cosign's keyless signature of an image, which the workflow `release` makes."""

import os
import re
import shutil
import subprocess

from pipelines.cli.errors import Refused, Unreachable

ISSUER = "https://token.actions.githubusercontent.com"
# What cosign 2 and 3 print if no signature is valid; they call a signature in a bundle an attestation. Their exit codes
# do not tell this from an outage. `searching log query` means that Rekor, the transparency log, did not respond.
_NOT_SIGNED = re.compile(
    r"^(?:Error: |.*error during command execution: )no (?:matching signatures|signatures found|matching attestations)",
    re.MULTILINE,
)
_LOG_OUTAGE = "searching log query"


def verify_signature(reference: str) -> str:
    """Verify the signature of an image where IMAGE_SIGNER names its signer; return the result as a sentence.

    Raises Refused if the image is not signed or has another signer, and Unreachable if cosign is not installed or image
    registry or log do not respond.
    """
    signer = os.environ.get("IMAGE_SIGNER")
    if not signer:
        return "Not verified: IMAGE_SIGNER is not set."
    if shutil.which("cosign") is None:
        raise Unreachable("IMAGE_SIGNER is set, but cosign is not installed", "Install cosign, then run again.")
    command = ["cosign", "verify", "--certificate-identity", signer, "--certificate-oidc-issuer", ISSUER, reference]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if not done.returncode:
        return f"Signed by {signer}."
    output = done.stderr or done.stdout
    reason = " ".join(output.split())[-300:] or f"no output, exit code {done.returncode}"
    if _NOT_SIGNED.search(output) and _LOG_OUTAGE not in output:
        raise Refused(
            f"{reference} is not signed by {signer}: {reason}",
            "Nothing was deployed. Find out who pushed this image. Then run the workflow `release`: it builds and "
            "signs a new one.",
        )
    raise Unreachable(
        f"the signature of {reference} could not be verified; cosign printed: {reason}",
        "Log in (`docker login`), or wait until the image registry and sigstore's log respond, then run again.",
    )


def is_trusted(reference: str) -> bool:
    """Return whether an image is signed, or images are not signed at all."""
    try:
        verify_signature(reference)
    except Refused:
        return False
    return True
