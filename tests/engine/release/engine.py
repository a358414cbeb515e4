"""The real parts of a release: a Docker engine, Debian's registry on loopback, a base image, and one built image.

Without an engine (or debootstrap, skopeo, docker-registry) these tests are skipped, and say so; in CI a skip fails. All
tests with an engine run in one worker, which shares these fixtures.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.fixtures_repo import ROOT, Repo, merge, point_at_cache
from tests.engine.in_process import must, verb

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def docker(*arguments: str) -> str:
    """Output of a docker command that must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def lacking() -> str:
    """What is not there of all that builds and runs images, in words; empty if nothing is."""
    names = [name for name in ("docker", "skopeo", "docker-registry", "debootstrap") if not _which(name)]
    if names:
        return f"not installed: {', '.join(names)}"
    answers = subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    return "" if answers else "no Docker engine answers"


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


@dataclass(frozen=True)
class Hub:
    """A registry on loopback."""

    host: str


@contextmanager
def registry(folder: Path) -> Iterator[Hub]:
    """Debian's docker-registry on a free port, with its files in a folder; the engine forgets its images at the end."""
    hub = Hub(f"127.0.0.1:{free_port()}")
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {folder / 'storage'}}}\n  delete: {{enabled: true}}\n"
        f"http: {{addr: '{hub.host}'}}\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        try:
            _wait(f"http://{hub.host}/v2/", folder / "log")
            yield hub
        finally:
            process.terminate()
            process.wait()
            _forget(hub)


def _forget(hub: Hub) -> None:
    """Remove the images that were pushed to a registry, or pulled from it; layers stay in the cache of builds."""
    listed = docker("images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}").splitlines()
    if images := {line.partition(" ")[2] for line in listed if line.startswith(f"{hub.host}/")}:
        # One that somebody's container still uses stays.
        subprocess.run(["docker", "rmi", "--force", *images], capture_output=True)


def _wait(url: str, log: Path) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(log.read_text())


def stand_in(hub: Hub) -> str:
    """A base image by digest, pushed: Debian's Python, made once a machine and kept in MAINLINE_CACHE."""
    cache = Path(os.environ.get("MAINLINE_CACHE") or ".mainline/cache")
    cache = cache if cache.is_absolute() else ROOT / cache
    recipe = ROOT / ".ci/base-image"
    tarball = cache / f"base-image-{hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "base-image.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not tarball.exists():
            beside = tarball.with_suffix(".tmp")
            with beside.open("wb") as out:
                # debootstrap needs root.
                command = [*([] if os.geteuid() == 0 else ["sudo", "--non-interactive", "--preserve-env"]), recipe]
                done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 0, done.stderr[-2000:]
            beside.rename(tarball)
    name = f"{hub.host}/python"
    docker("import", "--change", f"ENV SSL_CERT_FILE={CERTIFICATES} PIP_CERT={CERTIFICATES}", str(tarball), name)
    docker("push", "--quiet", name)
    return next(d for d in docker("inspect", "--format", '{{join .RepoDigests " "}}', name).split() if hub.host in d)


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine answers, and what is needed beside it is installed."""
    if what := lacking():
        pytest.skip(what)


@pytest.fixture(scope="session")
def hub(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A registry for all tests of a worker."""
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="session")
def base_image(hub: Hub) -> str:
    """The stand-in by digest."""
    return stand_in(hub)


@dataclass(frozen=True)
class Shop:
    """A team's repository with a bare origin, a registry, and an address where production answers."""

    repo: Repo
    origin: Path
    hub: Hub
    name: str
    line: str
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What a release reads."""
        return {
            "IMAGE_REPOSITORY": f"{self.hub.host}/{self.name}",
            "SERVICE_URL": self.url,
            "GITHUB_REPOSITORY": "",
            "GITHUB_TOKEN": "",
            "PREDICTION_LOG": "off",
        }

    def release(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """`python -m pipelines release run` (or another action), which must end with `code`; what it printed."""
        return must(verb(self.repo, "release", *(arguments or ("run",)), **self.environment | environment), code).out

    def release_apart(self, *arguments: str, **environment: str) -> str:
        """The same in a process of its own."""
        done = self.repo.verb("release", *(arguments or ("run",)), **self.environment | environment)
        return must(done).out

    def commit(self, message: str) -> str:
        """Commit all there is on main and push it; the commit."""
        self.repo.commit(message)
        self.repo.git("push", "--quiet", "origin", "main")
        return self.repo.git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def base_shop(small_problem: Path, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like small_problem's `origin`, with the stand-in as base image; copied by each shop."""
    path = tmp_path_factory.mktemp("shop") / "origin"
    (path.parent / "cache").symlink_to(small_problem / "cache")
    subprocess.run(["git", "clone", "--quiet", str(small_problem / "origin"), str(path)], check=True)
    clone = Repo(path, small_problem / "cache")
    point_at_cache(clone)
    # A line of its own, so that no container of somebody's real service has its name.
    line = f"shop-{os.getpid()}"
    clone.params(lambda document: merge(document, {"model_name": line, "serving": {"base_image": base_image}}))
    for step in (("data",), ("repro",)):
        done = clone.verb(*step)
        assert done.code == 0, done.out
    clone.commit("A line of its own, with the stand-in as base image")
    return path


@pytest.fixture
def shop(base_shop: Path, small_problem: Path, hub: Hub, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose main has the small problem's model; its containers and volume are removed at the end."""
    origin, path = tmp_path / "origin.git", tmp_path / "main"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(base_shop), str(origin)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(origin), str(path)], check=True)
    repo = Repo(path, small_problem / "cache")
    point_at_cache(repo)
    line = f"shop-{os.getpid()}"
    # What other tests left in the registry under this name is gone with the name.
    yield Shop(
        repo,
        origin,
        hub,
        f"{tmp_path.parent.name}-{tmp_path.name}".lower().replace("_", "-"),
        line,
        f"http://127.0.0.1:{free_port()}",
    )
    for name in (f"{line}-production", f"{line}-before"):
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True)
    subprocess.run(["docker", "volume", "rm", "--force", f"{line}-predictions"], capture_output=True)
