"""The image registry, read and written with skopeo: find the digest of a tag, look for a digest, move a tag."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from pipelines.cli.errors import InputError, Unreachable

PRODUCTION = "production"  # the tag of the image in production
_NAME = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3})(?::\d+)?/")
# The image registry's own response about a missing manifest: an error code of its API, Harbor's message, or a bare 404.
# Other "not found" errors (a credential helper, a host, a server that is no registry) do not mean a missing image.
_MISSING = re.compile(
    r"reading manifest \S+ in \S+: "
    r"(?:manifest unknown|name unknown|unknown: (?:artifact|repository) \S+ not found|StatusCode: 404\b)"
)


class ImageRegistry:
    """A repository of an image registry; `repository` is its name without tag or digest, as in ghcr.io/acme/fraud.

    Every method that asks the image registry raises Unreachable if it does not respond.
    """

    def __init__(self, repository: str) -> None:
        """Check the name (InputError if it is invalid); nothing is requested yet."""
        self.repository = repository.lower()  # GitHub's names may have capitals, image names may not
        if not _NAME.fullmatch(self.repository):
            raise InputError(f"IMAGE_REPOSITORY is {repository!r}", "Set it to HOST/NAME, such as ghcr.io/acme/fraud.")

    @staticmethod
    def from_environment() -> ImageRegistry:
        """Return the repository that IMAGE_REPOSITORY names; InputError if it is not set or invalid."""
        if repository := os.environ.get("IMAGE_REPOSITORY"):
            return ImageRegistry(repository)
        raise InputError(
            "IMAGE_REPOSITORY is not set, so the image cannot be pushed",
            "Set it, for example to ghcr.io/acme/fraud, or to 127.0.0.1:5000/fraud with a registry on this host.",
        )

    def reference(self, digest: str) -> str:
        """Return REPOSITORY@DIGEST."""
        return f"{self.repository}@{digest}"

    def find_digest(self, tag: str) -> str | None:
        """Return the digest of a tag, or None if there is no such tag."""
        return self._inspect(f"{self.repository}:{tag}")

    def has_image(self, digest: str) -> bool:
        """Return whether there is an image with this digest."""
        return self._inspect(self.reference(digest)) is not None

    def move_tag(self, tag: str, digest: str) -> None:
        """Point a tag to an existing digest."""
        source, destination = f"docker://{self.reference(digest)}", f"docker://{self.repository}:{tag}"
        self._run_skopeo("copy", "--all", "--preserve-digests", *self._tls("src-", "dest-"), source, destination)

    def _inspect(self, reference: str) -> str | None:
        output = self._run_skopeo(
            "inspect", "--no-tags", "--format={{.Digest}}", *self._tls(""), f"docker://{reference}"
        )
        return output and output.strip()

    def _tls(self, *sides: str) -> list[str]:
        """Return the options that allow plain HTTP for a registry on loopback, as Docker does, and none otherwise."""
        return [f"--{side}tls-verify=false" for side in sides if _LOOPBACK.match(self.repository)]

    def _run_skopeo(self, *arguments: str) -> str | None:
        """Return what skopeo prints, or None if the image is missing."""
        if shutil.which("skopeo") is None:
            raise Unreachable("skopeo is not installed", "Install it (Debian: apt-get install skopeo), then run again.")
        command = ["skopeo", "--command-timeout=60s", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if not done.returncode:
            return done.stdout
        if arguments[0] == "inspect" and _MISSING.search(done.stderr):
            return None
        raise Unreachable(
            f"the image registry of {self.repository} returned an error: {' '.join(done.stderr.split())[-300:]}",
            "Log in (`docker login`), or fix IMAGE_REPOSITORY or the network, then run again.",
        )
