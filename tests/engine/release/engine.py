"""The real parts of a release: a Docker engine, Debian's registry on loopback, a base image, and one built image.

Without an engine (or debootstrap, skopeo, docker-registry) these tests are skipped, and say so; in CI a skip fails.
Each worker makes the image registry, the base image and the shop once.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testing.docker import ImageRegistry, docker, free_port, missing_tools, registry, remove_containers, stand_in
from testing.repository import Repo, merge, point_at_cache
from tests.engine.in_process import must, reproduce, verb

REPLICAS = 2
__all__ = ["ImageRegistry", "TeamRepository", "docker", "free_port", "remove_containers"]


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip the test unless a Docker engine responds and the other tools are installed."""
    if what := missing_tools():
        pytest.skip(what)


@pytest.fixture(scope="session")
def hub(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    """An image registry for all tests of a worker."""
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="session")
def base_image(hub: ImageRegistry) -> str:
    """The small base image of the tests, by digest."""
    return stand_in(hub)


@dataclass(frozen=True)
class TeamRepository:
    """A team's repository with a bare origin, an image registry, and the URL of its service in production."""

    repo: Repo
    origin: Path
    hub: ImageRegistry
    image_name: str
    model_name: str
    url: str
    operations_url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a release reads."""
        return {
            "IMAGE_REPOSITORY": f"{self.hub.host}/{self.image_name}",
            "SERVICE_URL": self.url,
            "OPERATIONS_URL": self.operations_url,
            "XDG_STATE_HOME": str(self.origin.parent / "state"),
            "GITHUB_REPOSITORY": "",
            "GITHUB_TOKEN": "",
            "PREDICTION_LOG": "off",
        }

    def release(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """`python -m pipelines release run` (or another action), which must end with `code`; return what it printed."""
        return must(verb(self.repo, "release", *(arguments or ("run",)), **self.environment | environment), code).out

    def release_apart(self, *arguments: str, **environment: str) -> str:
        """Run an action in a process of its own; return what it printed."""
        done = self.repo.verb("release", *(arguments or ("run",)), **self.environment | environment)
        return must(done).out

    def commit(self, message: str) -> str:
        """Commit all changes to main and push them; return the commit."""
        self.repo.commit(message)
        self.repo.git("push", "--quiet", "origin", "main")
        return self.repo.git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def base_shop(small_problem: Path, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of small_problem's `origin` with the small base image; each `shop` is a clone of it."""
    path = tmp_path_factory.mktemp("shop") / "origin"
    (path.parent / "cache").symlink_to(small_problem / "cache")
    subprocess.run(["git", "clone", "--quiet", str(small_problem / "origin"), str(path)], check=True)
    clone = Repo(path, small_problem / "cache")
    point_at_cache(clone)
    # A model name of its own, so that no container of a real service has its name.
    model_name = f"shop-{os.getpid()}"
    serving = {"base_image": base_image, "front_image": base_image, "replicas": REPLICAS}
    clone.params(lambda document: merge(document, {"model_name": model_name, "serving": serving}))
    must(verb(clone, "data"))
    reproduce(clone)
    clone.commit("Give the model a name of its own, and the stand-in as base image")
    return path


@pytest.fixture
def image_name() -> str:
    """The name of the images in the registry: tests share what they built, but for those that give another name."""
    return "shop"


@pytest.fixture
def shop(
    base_shop: Path, small_problem: Path, hub: ImageRegistry, image_name: str, tmp_path: Path
) -> Iterator[TeamRepository]:
    """A team's repository with the small problem's model; its containers and volume are removed at the end."""
    origin, path = tmp_path / "origin.git", tmp_path / "main"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(base_shop), str(origin)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(origin), str(path)], check=True)
    repo = Repo(path, small_problem / "cache")
    point_at_cache(repo)
    model_name = f"shop-{os.getpid()}"
    yield TeamRepository(
        repo,
        origin,
        hub,
        image_name,
        model_name,
        f"http://127.0.0.1:{free_port()}",
        f"http://127.0.0.1:{free_port()}",
    )
    remove_containers(model_name)
