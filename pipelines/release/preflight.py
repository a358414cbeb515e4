"""What a release needs outside of git, asked for before anything is trained or built."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.deployment.containers import docker
from pipelines.release.image_registry import PRODUCTION, ImageRegistry

FREE_GB = 3  # an image, its layers in Docker's cache, and the model's files


def require_engine_registry_and_disk(image_registry: ImageRegistry) -> None:
    """Raise Unreachable unless the Docker engine and the image registry respond, and there is room for an image."""
    root = docker("info", "--format={{.DockerRootDir}}").strip()
    image_registry.find_digest(PRODUCTION)
    for folder in (Path(root), Path(tempfile.gettempdir())):
        # An engine on another machine has its folder there.
        if folder.exists() and (free := shutil.disk_usage(folder).free) < FREE_GB * 1e9:
            raise Unreachable(
                f"{folder} has {free / 1e9:.1f} GB free; building an image needs {FREE_GB} GB",
                "Free the disk (`docker system prune`), then run again.",
            )
