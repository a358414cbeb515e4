"""Containers of the service on this host, controlled with the docker command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pipelines.cli.errors import Refused, Unreachable

PORT = 3000  # in the container
# No root, no capabilities, and no writable path but /tmp and the log's volume.
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=256")


@dataclass(frozen=True)
class Container:
    """A container, by its name or id."""

    name: str

    @staticmethod
    def run(reference: str, *options: str, environment: Mapping[str, str]) -> Container:
        """Start a hardened container of an image, with more options of `docker run` such as a published port."""
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        return Container(docker("run", "--detach", *HARDENED, *options, *variables, reference).strip())

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

    def exists(self) -> bool:
        """Return whether there is such a container, running or not."""
        return self.inspect("{{.Id}}") is not None

    def has_image(self, reference: str) -> bool:
        """Return whether it was started from an image."""
        return self.inspect("{{.Config.Image}}") == reference

    def copy_out(self, source: str, target: Path) -> None:
        """Copy a file of the container to this host."""
        docker("cp", f"{self.name}:{source}", str(target))

    def logs(self) -> str:
        """Return the last lines that it printed."""
        return docker("logs", "--tail", "5", self.name, with_stderr=True).strip()

    def remove(self) -> None:
        """Stop and remove it; do nothing if it is already gone."""
        docker("rm", "--force", "--volumes", self.name, check=False)


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


def get_info(url: str) -> dict[str, Any]:
    """Return the response of a service's /info, or an empty dictionary without one."""
    try:
        response = requests.get(f"{url.rstrip('/')}/info", timeout=5)
        response.raise_for_status()
        return dict(response.json())
    except (requests.RequestException, ValueError, TypeError):
        return {}


def post_json(url: str, document: Any) -> Any:
    """Post a JSON document to the service and return its response; Refused without one."""
    headers = {"content-type": "application/json"}
    try:
        response = requests.post(url, json.dumps(document, default=str), headers=headers, timeout=30)
        if response.ok:
            return response.json()
    except (requests.RequestException, ValueError) as error:
        raise Refused(f"{url} does not respond: {error}", "Run it again.") from error
    reason = f"{url} responds with {response.status_code}: {response.text[:300]}"
    raise Refused(reason, "Fix the row of the critical case.")


def wait_for_release(url: str, release_id: str, seconds: float, container: Container | None = None) -> bool:
    """Wait until a service's /info responds with a release id; return False after a time-out or the container's end."""
    deadline, attempt = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        if running(url) == release_id:
            return True
        attempt += 1
        # Not every time: a request to the Docker engine takes longer than one to the service.
        if container and attempt % 10 == 0 and not container.is_running():
            return False
        time.sleep(0.02)
    return False


def running(url: str) -> str | None:
    """Return the release id that a service's /info responds with, or None."""
    return get_info(url).get("release")
