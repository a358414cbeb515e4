"""The image of a release: a bento of the reviewed files, made into an image and pushed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml

from pipelines.cli.errors import Refused, Unreachable
from pipelines.cli.files import write_text
from pipelines.release.container import docker
from pipelines.release.target_commit import Candidate
from pipelines.repository.release_id import PARTS

LOCK = "requirements/serving.txt"
LABEL = "org.opencontainers.image"


def build(found: Candidate, models: Path, scratch: Path) -> str:
    """Make the image from the files of the commit and the model in `models`.

    Args:
        models: folder with model.onnx and signature.json.
        scratch: an empty folder.

    Returns:
        The image's name on this host.

    Raises:
        Refused: if it cannot be built, with the last of what was printed.
    """
    root, store, temporary = scratch / "bento", scratch / "store", scratch / "tmp"
    for folder in (root, store, temporary):
        folder.mkdir(parents=True)
    export(found.commit, ["serving", LOCK], root)
    (root / "models").mkdir()
    for part in PARTS:
        shutil.copyfile(models / Path(part).name, root / part)
    write_text(root / "serving.json", found.params.serving.to_json(found.release))
    write_text(root / "bentofile.yaml", yaml.safe_dump(_bentofile(found), sort_keys=False))
    environment = {
        **os.environ,
        "BENTOML_HOME": str(store),
        # BentoML takes a template of the Dockerfile only from below the folder where it runs.
        "TMPDIR": str(temporary),
        # A client of Docker without buildx refuses BuildKit; what is built here needs none.
        "DOCKER_BUILDKIT": "1" if _has_buildkit() else "0",
    }
    name = f"{found.name}:{found.release}"
    labels = {
        "title": found.name,
        "revision": found.commit,
        "version": found.release,
        "base.digest": found.params.serving.base_image.partition("@")[2],
    }
    said = [f"--opt=label={LABEL}.{key}={value}" for key, value in labels.items()]
    _bentoml(root, environment, "build", "--version", found.release, "--name", found.name)
    _bentoml(scratch, environment, "containerize", name, "--image-tag", name, *said)
    return name


def push(local: str, reference: str) -> None:
    """Push an image of this host as REPOSITORY:TAG.

    Raises:
        Unreachable: if the registry does not take it.
    """
    docker("tag", local, reference)
    try:
        docker("push", "--quiet", reference)
    except Refused as error:
        raise Unreachable(str(error), "Log in (`docker login`) or mend the network, and run it again.") from error


def export(commit: str, paths: list[str], into: Path) -> None:
    """Write files of a commit into a folder, as they are in git."""
    command = ["git", "archive", "--format=zip", commit, "--", *paths]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    # A tar file would need the filter for what leads out of the folder, which Python has since 3.11.4 alone.
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(into)


def _bentofile(found: Candidate) -> dict[str, object]:
    return {
        "service": "serving.service:Predictions",
        "include": ["serving/**", *PARTS, "serving.json"],
        # As they are: BentoML would resolve the lock again, and write an index's address into it.
        "python": {"requirements_txt": LOCK, "lock_packages": False},
        "docker": {"base_image": found.params.serving.base_image, "dockerfile_template": "serving/Dockerfile.j2"},
    }


def _has_buildkit() -> bool:
    done = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False)
    return done.returncode == 0


def _bentoml(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-25:])
        raise Refused(f"bentoml {arguments[0]} failed:\n{last}", "Mend what it says, and run it again.")
