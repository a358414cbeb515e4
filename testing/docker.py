"""A Docker engine, Debian's registry on loopback, and a base image for machines that cannot pull one."""

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

from testing.repository import ROOT

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASE = "mainline-base-image"  # stays on the machine


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


def missing_tools() -> str:
    """Name what is missing to build and run images; empty if nothing is."""
    names = [name for name in ("docker", "skopeo", "docker-registry", "debootstrap") if not _which(name)]
    if names:
        return f"not installed: {', '.join(names)}"
    answers = subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    return "" if answers else "no Docker engine answers"


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


@dataclass(frozen=True)
class ImageRegistry:
    """A registry on loopback."""

    host: str


@contextmanager
def registry(folder: Path) -> Iterator[ImageRegistry]:
    """Debian's docker-registry on a free port, with its files in a folder; the engine forgets its images at the end."""
    hub = ImageRegistry(f"127.0.0.1:{free_port()}")
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


def _forget(hub: ImageRegistry) -> None:
    """Remove the images that were pushed to a registry, or pulled from it; layers stay in the cache of builds."""
    listed = docker("images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}").splitlines()
    ours, kept = (
        {line.partition(" ")[2] for line in listed if line.startswith(f"{name}")} for name in (f"{hub.host}/", BASE)
    )
    # One that somebody's container still uses stays.
    subprocess.run(["docker", "rmi", "--force", f"{hub.host}/python", *(ours - kept)], capture_output=True)


def _wait(url: str, log: Path) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(log.read_text())


def remove_containers(model_name: str) -> None:
    """Remove what a host of a model has: containers, network and volume."""
    names = docker("ps", "--all", "--format={{.Names}}", f"--filter=name=^{model_name}-").split()
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], capture_output=True)
    subprocess.run(["docker", "network", "rm", f"{model_name}-front"], capture_output=True)
    subprocess.run(["docker", "volume", "rm", "--force", f"{model_name}-predictions"], capture_output=True)


def stand_in(hub: ImageRegistry) -> str:
    """A base image by digest, pushed: Debian's Python and HAProxy, made once a machine and kept in MAINLINE_CACHE."""
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
        # The same image for every worker and run: what is built upon it then comes from the cache of builds.
        image, name = f"{BASE}:{tarball.stem.rpartition('-')[2]}", f"{hub.host}/python"
        if not docker("images", "--quiet", image):
            docker(
                "import", "--change", f"ENV SSL_CERT_FILE={CERTIFICATES} PIP_CERT={CERTIFICATES}", str(tarball), image
            )
    docker("tag", image, name)
    docker("push", "--quiet", name)
    return next(d for d in docker("inspect", "--format", '{{join .RepoDigests " "}}', name).split() if hub.host in d)
