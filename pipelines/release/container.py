"""Containers of the service on this host, by the docker command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli.errors import Refused, Unreachable

PORT = 3000  # in the container
# What a prediction needs and no more: no root, no capability, nothing to write to but /tmp and the log's volume.
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=256")
_POLL = 0.02


@dataclass(frozen=True)
class Container:
    """A container, by its name or id."""

    name: str

    @staticmethod
    def run(reference: str, *options: str, environment: Mapping[str, str]) -> Container:
        """Start a container of an image, hardened.

        Args:
            options: of `docker run`, such as a published port.

        Raises:
            Refused: if the engine does not start it.
        """
        given = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        return Container(docker("run", "--detach", *HARDENED, *options, *given, reference).strip())

    def address(self) -> str:
        """The address on this host where its port is published; an empty one once it has ended."""
        published = docker("port", self.name, check=False).splitlines()
        return f"http://{published[0].rpartition(' ')[2]}" if published else ""

    def is_running(self) -> bool:
        """Whether its process runs, and is the first one: a service that ends at once is started again and again."""
        return self.inspect("{{.State.Running}} {{.RestartCount}}") == "true 0"

    def inspect(self, form: str) -> str | None:
        """A value of `docker inspect`, or None if there is no such container."""
        try:
            return docker("container", "inspect", "--format", form, self.name).strip()
        except Refused:
            return None

    def copy_out(self, source: str, target: Path) -> None:
        """Copy a file out of it."""
        docker("cp", f"{self.name}:{source}", str(target))

    def logs(self) -> str:
        """The last of what it printed."""
        return docker("logs", "--tail", "5", self.name, both=True).strip()

    def remove(self) -> None:
        """Remove it, whatever it does; one that is gone already does no harm."""
        docker("rm", "--force", "--volumes", self.name, check=False)


def docker(*arguments: str, check: bool = True, both: bool = False) -> str:
    """Output of a docker command.

    Raises:
        Unreachable: if there is no engine.
        Refused: if it says no, with its words.
    """
    if shutil.which("docker") is None:
        raise Unreachable("docker is not installed", "Install it (Debian: apt-get install docker.io), run it again.")
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode and check:
        reason = " ".join(done.stderr.split())[-400:]
        if "Cannot connect to the Docker daemon" in reason or "permission denied while trying to connect" in reason:
            raise Unreachable(f"no Docker engine answers: {reason}", "Start it (`systemctl start docker`).")
        raise Refused(f"docker {arguments[0]} says: {reason}", "Mend what it says, and run it again.")
    return done.stdout + (done.stderr if both else "")


def get(url: str, seconds: float = 5.0) -> Any:
    """The JSON at an address of a service, or None where none answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - http(s) alone, by SERVICE_URL
            return json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None


def post(url: str, document: Any, seconds: float = 30.0) -> Any:
    """What a service answers to a JSON document.

    Raises:
        Refused: if it refuses the document, or does not answer.
    """
    request = urllib.request.Request(  # noqa: S310 - as above
        url, json.dumps(document, default=str).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        raise Refused(f"{url} answers {error.code}: {said}", "Look at what the case sends.") from error
    except (OSError, ValueError) as error:
        raise Refused(f"{url} does not answer: {error}", "Run it again.") from error


def wait(url: str, release: str, seconds: float, alive: Sequence[Container] = ()) -> bool:
    """Wait until /info of a service answers a release id; False when the time is over or a container has ended."""
    until = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < until:
        if running(url) == release:
            return True
        turn += 1
        # Not each time: asking the engine takes longer than asking the service.
        if turn % 10 == 0 and not all(container.is_running() for container in alive):
            return False
        time.sleep(_POLL)
    return False


def running(url: str) -> str | None:
    """The release id that a service answers, or None."""
    info = get(f"{url.rstrip('/')}/info")
    return str(info.get("release")) if isinstance(info, dict) else None
