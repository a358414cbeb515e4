"""A host of the tests: the real front before a stub of the service."""

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from pipelines.config.serving import Serving
from pipelines.deployment.exchange import ensure_in_production
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Version
from testing.docker import docker, free_port, remove_containers
from tests.engine.deployment.clients import load

STUB = Path(__file__).parent / "stub_service.py"
RELEASES = ("one", "two", "crashes", "fails", "slow", "shifted")


@dataclass
class StubHost:
    """A host of a model whose versions are `RELEASES`."""

    model_name: str
    front_image: str
    folder: Path
    port: int = field(default_factory=free_port)
    operations_port: int = field(default_factory=free_port)
    settings: dict[str, Any] = field(default_factory=dict)
    sticky_header: str | None = None

    @property
    def host(self) -> Host:
        """The settings, as a release reads them from params.yaml and the environment."""
        serving = {
            "base_image": self.front_image, "front_image": self.front_image, "max_batch_rows": 100,
            "max_body_mb": 1.0, "timeout_seconds": 3.0, "replicas": 2, **self.settings,
        }  # fmt: skip
        scheme = "https" if self.settings.get("tls") else "http"
        urls = f"{scheme}://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.operations_port}"
        return Host(self.model_name, Serving.model_validate(serving), *urls, self.folder, self.sticky_header)

    def deploy(self, release: str) -> None:
        """Put a version into production."""
        ensure_in_production(self.host, self.version(release))

    def version(self, release: str) -> Version:
        """Return the version of a stub."""
        return Version(release, f"mainline-stub:{release}", f"{self.model_name}@{release}")

    def get(self, path: str = "/info", **options: Any) -> requests.Response:
        """Ask the front."""
        return requests.get(f"{self.host.service_url}{path}", timeout=10, **options)

    def predict(self, document: Any = None, **options: Any) -> requests.Response:
        """Post a row to the front."""
        return requests.post(f"{self.host.service_url}/predict", json=document or {}, timeout=20, **options)

    def operations(self, path: str) -> requests.Response:
        """Ask the other port of the front."""
        return requests.get(f"{self.host.operations_url}{path}", timeout=10)

    def containers(self) -> list[str]:
        """Return the names of this model's containers, running or not."""
        names = docker("ps", "--all", "--format", "{{.Names}}").split()
        return sorted(name for name in names if name.startswith(f"{self.model_name}-"))

    def check(self, release: str) -> None:
        """Check that this version is in production, with its replicas and the front, and nothing else is there."""
        assert {self.get().json()["release"] for _ in range(4)} == {release}
        front, *replicas = sorted(self.containers(), key=lambda name: not name.endswith("-front"))
        assert front == f"{self.model_name}-front"
        slots = {name.rpartition("-")[2] for name in replicas}
        assert {slot[1:] for slot in slots} == {"1", "2"} and len(slots) == 2, replicas
        running = docker("inspect", "--format", "{{.State.Running}}", *replicas).split()
        assert running == ["true", "true"]

    def load(self, clients: int = 6, at_least: int = 0) -> AbstractContextManager[list[str]]:
        """Let clients ask the front during a block."""
        return load(self.port, b"{}", clients, at_least)


@pytest.fixture(scope="session")
def stub_images(base_image: str) -> None:
    """Build the stub of each version."""
    source = base64.b64encode(STUB.read_bytes()).decode()
    for release in RELEASES:
        recipe = (
            f"FROM {base_image}\nENV RELEASE={release}\nRUN echo {source} | base64 -d > /stub.py\n"
            'USER 1034:1034\nENTRYPOINT ["python", "/stub.py"]\n'
        )
        command = ["docker", "build", "--quiet", f"--tag=mainline-stub:{release}", "-"]
        done = subprocess.run(
            command, input=recipe, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"}
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def stub_host(stub_images: None, base_image: str, tmp_path: Path) -> Iterator[StubHost]:
    """A host with nothing on it; everything is removed at the end."""
    made = StubHost(f"stub-{os.getpid()}", base_image, tmp_path / "state")
    yield made
    remove_containers(made.model_name)
