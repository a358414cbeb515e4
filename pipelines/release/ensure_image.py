"""Ensure that the image registry holds the image of a release: reuse it, or build it from the reviewed model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines.cli.errors import AlreadyPrinted, Unreachable
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.release import approvals, fetch_model, signatures
from pipelines.release.image import build_image, push_image
from pipelines.release.image_registry import ImageRegistry
from pipelines.release.target_commit import TargetCommit
from pipelines.repository import tags


def ensure_image(target: TargetCommit, image_registry: ImageRegistry, progress: Progress) -> tuple[str, bool]:
    """Return the digest of the release's image in the image registry, and whether it had to be built.

    A registered version names its image by digest, and that image is reused while it exists; else the image tagged
    with the release id. Where images are signed, an unsigned image (because a run was killed before it signed, or
    images were not signed then) is built again: nobody signs an image that he did not build.

    Raises:
        Refused: if the reviewed model cannot be fetched, or the image cannot be built.
        AlreadyPrinted: if the model was to be trained again, and that gives another one.
    """
    _verify_model(target)
    version = tags.find_version(target.model_name, target.release_id)
    if version and image_registry.has_image(version.annotation.digest):
        digest = version.annotation.digest
        if signatures.is_trusted(image_registry.reference(digest)):
            return digest, False
    tagged = image_registry.find_digest(target.release_id)
    if tagged and signatures.is_trusted(image_registry.reference(tagged)):
        return tagged, False
    with tempfile.TemporaryDirectory(prefix="release-") as scratch:
        models = Path(scratch) / "models"
        source = fetch_model.fetch_model(target, models, approvals.connect_to_github(), progress)
        progress.print(f"  the model comes from {source}")
        with progress.step("Building the image"):
            local_name = build_image(target, models, Path(scratch) / "build")
    with progress.step("Pushing the image"):
        push_image(local_name, f"{image_registry.repository}:{target.release_id}")
    pushed = image_registry.find_digest(target.release_id)
    if pushed is None:
        raise Unreachable("the image registry lacks the pushed image", "Check the image registry, then run again.")
    return pushed, True


def _verify_model(target: TargetCommit) -> None:
    """With `release.rebuild: true`, train a new release's model again, unless another job did so for this commit."""
    if not target.params.release.rebuild or os.environ.get("VERIFIED_COMMIT") == target.commit:
        return
    if code := run_verb("verify", "--rev", target.commit, "--before-release").returncode:
        raise AlreadyPrinted(code)
