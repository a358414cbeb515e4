"""The image registry, read and written with skopeo: find the digest of a tag, look for a digest, move a tag."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from pipelines.cli.errors import InputError, Unreachable

VARIABLE = "IMAGE_REPOSITORY"
PRODUCTION = "production"  # the tag of the image in production
_NAME = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3})(?::\d+)?/")
# The image registry's own response about a missing manifest: an error code of its API, Harbor's message, or a bare 404.
# Other "not found" errors (a credential helper, a host, a server that is no registry) do not mean a missing image.
_MISSING = re.compile(
    r"reading manifest \S+ in \S+: "
    r"(?:manifest unknown|name unknown|unknown: (?:artifact|repository) \S+ not found|StatusCode: 404\b)"
)
_TIMEOUT = "60s"


class ImageRegistry:
    """A repository of an image registry.

    Attributes:
        repository: its name without tag or digest, such as ghcr.io/acme/fraud.
    """

    def __init__(self, repository: str) -> None:
        """Check the name; nothing is requested yet.

        Raises:
            InputError: if the name is invalid.
        """
        self.repository = repository.lower()  # GitHub's names may have capitals, image names may not
        if not _NAME.fullmatch(self.repository):
            raise InputError(f"{VARIABLE} is {repository!r}", "Set it to HOST/NAME, such as ghcr.io/acme/fraud.")

    @staticmethod
    def from_environment() -> ImageRegistry:
        """Return the repository that IMAGE_REPOSITORY names.

        Raises:
            InputError: if IMAGE_REPOSITORY is not set or invalid.
        """
        repository = os.environ.get(VARIABLE, "")
        if not repository:
            raise InputError(
                f"{VARIABLE} is not set, so the image cannot be pushed",
                "Set it, for example to ghcr.io/acme/fraud, or to 127.0.0.1:5000/fraud with a registry on this host.",
            )
        return ImageRegistry(repository)

    def reference(self, digest: str) -> str:
        """Return REPOSITORY@DIGEST."""
        return f"{self.repository}@{digest}"

    def find_digest(self, tag: str) -> str | None:
        """Return the digest of a tag, or None if there is no such tag.

        Raises:
            Unreachable: if the image registry does not respond, which never counts as a missing tag.
        """
        return self._inspect(f"{self.repository}:{tag}")

    def has_image(self, digest: str) -> bool:
        """Return whether there is an image with this digest.

        Raises:
            Unreachable: if the image registry does not respond.
        """
        return self._inspect(self.reference(digest)) is not None

    def move_tag(self, tag: str, digest: str) -> None:
        """Point a tag to an existing digest.

        Raises:
            Unreachable: if that fails.
        """
        options = ("--all", "--preserve-digests", *self._tls("--src-tls-verify=false", "--dest-tls-verify=false"))
        source, destination = f"docker://{self.reference(digest)}", f"docker://{self.repository}:{tag}"
        self._require_success(self._run_skopeo("copy", *options, source, destination))

    def _inspect(self, reference: str) -> str | None:
        command = ["inspect", "--no-tags", "--format", "{{.Digest}}", *self._tls("--tls-verify=false")]
        done = self._run_skopeo(*command, f"docker://{reference}")
        if done.returncode and _MISSING.search(done.stderr):
            return None
        return self._require_success(done).strip()

    def _tls(self, *options: str) -> tuple[str, ...]:
        """Return the options that allow plain HTTP for a registry on loopback, as Docker does, and none otherwise."""
        return options if _LOOPBACK.match(self.repository) else ()

    def _run_skopeo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("skopeo") is None:
            raise Unreachable("skopeo is not installed", "Install it (Debian: apt-get install skopeo), then run again.")
        command = ["skopeo", "--command-timeout", _TIMEOUT, *arguments]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)

    def _require_success(self, done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode:
            reason = " ".join(done.stderr.split())[-300:]
            raise Unreachable(
                f"the image registry of {self.repository} returned an error: {reason}",
                f"Log in (`docker login`), or fix {VARIABLE} or the network, then run again.",
            )
        return done.stdout
