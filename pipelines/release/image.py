"""Building and pushing the image of a release: a bento of the reviewed files, made into an image."""

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
from pipelines.deployment.containers import docker
from pipelines.release.target_commit import TargetCommit
from pipelines.repository.release_id import PARTS

LOCK = "requirements/serving.txt"


def build_image(target: TargetCommit, models: Path, scratch: Path) -> str:
    """Build the image from the files of the commit and the model in `models`; return its name on this host.

    `scratch` is an empty folder. Raises Refused with the last lines of the output if the build fails.
    """
    root, store, temporary = scratch / "bento", scratch / "store", scratch / "tmp"
    for folder in (root / "models", store, temporary):
        folder.mkdir(parents=True)
    export_files(target.commit, ["serving", LOCK], root)
    for part in PARTS:
        shutil.copyfile(models / Path(part).name, root / part)
    base_image = target.params.serving.base_image
    bentofile = {
        "service": "serving.service:Predictions",
        "include": ["serving/**", *PARTS, "serving.json"],
        # Unchanged: BentoML would resolve the lock again, and write the URL of a package index into it.
        "python": {"requirements_txt": LOCK, "lock_packages": False},
        "docker": {"base_image": base_image, "dockerfile_template": "serving/Dockerfile.j2"},
    }
    write_text(root / "serving.json", target.params.serving.to_json(target.release_id))
    write_text(root / "bentofile.yaml", yaml.safe_dump(bentofile, sort_keys=False))
    # A Docker client without buildx rejects BuildKit, which this build does not need.
    buildx = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False)
    environment = {
        **os.environ,
        "BENTOML_HOME": str(store),
        # BentoML accepts a template of the Dockerfile only from below its working directory.
        "TMPDIR": str(temporary),
        "DOCKER_BUILDKIT": "0" if buildx.returncode else "1",
    }
    labels = {"title": target.model_name, "revision": target.commit, "version": target.release_id}
    labels["base.digest"] = base_image.partition("@")[2]
    label_options = [f"--opt=label=org.opencontainers.image.{key}={value}" for key, value in labels.items()]
    name = f"{target.model_name}:{target.release_id}"
    _run_bentoml(root, environment, "build", "--version", target.release_id, "--name", target.model_name)
    _run_bentoml(scratch, environment, "containerize", name, "--image-tag", name, *label_options)
    return name


def push_image(local_name: str, reference: str) -> None:
    """Push an image of this host as REPOSITORY:TAG; Unreachable if the image registry does not accept it."""
    docker("tag", local_name, reference)
    try:
        docker("push", "--quiet", reference)
    except Refused as error:
        raise Unreachable(str(error), "Log in (`docker login`) or fix the network, then run again.") from error


def export_files(commit: str, paths: list[str], into: Path) -> None:
    """Write files of a commit into a folder, as they are in git."""
    command = ["git", "archive", "--format=zip", commit, "--", *paths]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    # Zip rather than tar: Python has a safe filter for extracting tar files only since 3.11.4.
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(into)


def _run_bentoml(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments], cwd=folder, env=environment, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if done.returncode:
        last_lines = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-25:])
        raise Refused(f"bentoml {arguments[0]} failed:\n{last_lines}", "Fix this error, then run again.")
