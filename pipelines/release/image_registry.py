"""The image registry, asked by skopeo: which digest a tag has, whether a digest is there, and moving a tag to one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from pipelines.cli.errors import InputError, Unreachable

VARIABLE = "IMAGE_REPOSITORY"
PRODUCTION = "production"  # the tag that follows production
_NAME = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3})(?::\d+)?/")
# The registry's own answer about a manifest: by the codes of its API, Harbor's words, or a bare 404. Whatever else is
# "not found" (a helper of credentials, a host, an address that is no registry) says nothing about the image.
_NOT_THERE = re.compile(
    r"reading manifest \S+ in \S+: "
    r"(?:manifest unknown|name unknown|unknown: (?:artifact|repository) \S+ not found|StatusCode: 404\b)"
)
_SECONDS = "60s"


class Registry:
    """A repository of images.

    Attributes:
        repository: its address without tag or digest, such as ghcr.io/acme/fraud.
    """

    def __init__(self, repository: str) -> None:
        """Nothing is asked yet.

        Raises:
            InputError: if that is no address of a repository.
        """
        self.repository = repository.lower()  # GitHub's names may have capitals, images may not
        if not _NAME.fullmatch(self.repository):
            raise InputError(f"{VARIABLE} is {repository!r}", "Set it to HOST/NAME, such as ghcr.io/acme/fraud.")

    @staticmethod
    def from_environment() -> Registry:
        """The repository that IMAGE_REPOSITORY names.

        Raises:
            InputError: if it is not set.
        """
        repository = os.environ.get(VARIABLE, "")
        if not repository:
            raise InputError(
                f"{VARIABLE} is not set: there is nowhere to put the image",
                "Set it, such as ghcr.io/acme/fraud, or 127.0.0.1:5000/fraud with a registry on this machine.",
            )
        return Registry(repository)

    def at(self, digest: str) -> str:
        """REPOSITORY@DIGEST."""
        return f"{self.repository}@{digest}"

    def digest(self, tag: str) -> str | None:
        """The digest that a tag has, or None.

        Raises:
            Unreachable: if the registry cannot be asked; that is never taken for "not there".
        """
        return self._inspect(f"{self.repository}:{tag}")

    def exists(self, digest: str) -> bool:
        """Whether an image of that digest is there.

        Raises:
            Unreachable: if the registry cannot be asked.
        """
        return self._inspect(self.at(digest)) is not None

    def move(self, tag: str, digest: str) -> None:
        """Let a tag point to a digest that is there.

        Raises:
            Unreachable: if that fails.
        """
        options = ("--all", "--preserve-digests", *self._tls("--src-tls-verify=false", "--dest-tls-verify=false"))
        self._answer(self._skopeo("copy", *options, f"docker://{self.at(digest)}", f"docker://{self.repository}:{tag}"))

    def _inspect(self, reference: str) -> str | None:
        command = ["inspect", "--no-tags", "--format", "{{.Digest}}", *self._tls("--tls-verify=false")]
        done = self._skopeo(*command, f"docker://{reference}")
        if done.returncode and _NOT_THERE.search(done.stderr):
            return None
        return self._answer(done).strip()

    def _tls(self, *options: str) -> tuple[str, ...]:
        """Docker too speaks plain HTTP to a registry on loopback, and to no other."""
        return options if _LOOPBACK.match(self.repository) else ()

    def _skopeo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("skopeo") is None:
            raise Unreachable("skopeo is not installed", "Install it (Debian: apt-get install skopeo), run it again.")
        command = ["skopeo", "--command-timeout", _SECONDS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)

    def _answer(self, done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode:
            reason = " ".join(done.stderr.split())[-300:]
            raise Unreachable(
                f"the registry of {self.repository} says: {reason}",
                f"Log in (`docker login`), or mend {VARIABLE} or the network, and run it again.",
            )
        return done.stdout
