"""Containers on this host, controlled with the docker command line."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import Refused, Unreachable

PORT = 3000  # of the service, in its container
# No root, no capabilities, no writable path but /tmp and volumes, and no more memory than the limits of serving/ need.
HARDENED = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=256",
    "--memory=512m",
)  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A container, by its name or id."""

    name: str

    @staticmethod
    def run(reference: str, *options: str, command: tuple[str, ...] = ()) -> Container:
        """Start a hardened container of an image, with more options of `docker run` such as a published port."""
        return Container(docker("run", "--detach", *HARDENED, *options, reference, *command).strip())

    def address(self) -> str:
        """Return the URL of its published port on this host, or an empty text once it has ended."""
        published = docker("port", self.name, check=False).splitlines()
        return f"http://{published[0].rpartition(' ')[2]}" if published else ""

    def is_running(self) -> bool:
        """Return whether its first process still runs. A service that crashes is restarted: that does not count."""
        return self.inspect("{{.State.Running}} {{.RestartCount}}") == "true 0"

    def inspect(self, template: str) -> str | None:
        """Return a value of `docker inspect`, or None if there is no such container."""
        try:
            return docker("container", "inspect", "--format", template, self.name).strip()
        except Refused:
            return None

    def copy_out(self, source: str, target: Path) -> None:
        """Copy a file of the container to this host."""
        docker("cp", f"{self.name}:{source}", str(target))

    def logs(self) -> str:
        """Return the last lines that it printed."""
        return docker("logs", "--tail", "5", self.name, check=False, with_stderr=True).strip()

    def remove(self) -> None:
        """Stop and remove it; do nothing if it is already gone."""
        docker("rm", "--force", "--volumes", self.name, check=False)


def pull_missing(reference: str) -> None:
    """Pull an image unless this host has it, so that a version that ran here starts without the image registry."""
    try:
        docker("image", "inspect", "--format={{.Id}}", reference)
    except Refused:
        docker("pull", "--quiet", reference)


def docker(*arguments: str, check: bool = True, with_stderr: bool = False) -> str:
    """Run a docker command and return its output; Unreachable without a Docker engine, Refused if it fails."""
    if shutil.which("docker") is None:
        raise Unreachable("docker is not installed", "Install it (Debian: apt-get install docker.io), then run again.")
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode and check:
        reason = " ".join(done.stderr.split())[-400:]
        if "Cannot connect to the Docker daemon" in reason or "permission denied while trying to connect" in reason:
            raise Unreachable(f"no Docker engine responds: {reason}", "Start it (`systemctl start docker`).")
        raise Refused(f"docker {arguments[0]} failed: {reason}", "Fix this error, then run again.")
    return done.stdout + (done.stderr if with_stderr else "")
