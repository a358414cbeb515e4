"""Build and push the image before the release, so that a workflow can sign it in between."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.cli.progress import Progress
from pipelines.release import ensure_image
from pipelines.release.image_registry import ImageRegistry
from pipelines.release.target_commit import prepare_target_commit


def build_ahead(revision: str) -> int:
    """Build and push the image of a commit unless it exists, and set the job's outputs to its repository and digest."""
    target = prepare_target_commit(revision)
    reference, built = ensure_image.ensure_image(target, ImageRegistry.from_environment(), Progress())
    repository, _, digest = reference.partition("@")
    print(f"{reference} ({'built' if built else 'existed already'})")
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"repository={repository}\ndigest={digest}\nbuilt={str(built).lower()}\n")
    return 0
