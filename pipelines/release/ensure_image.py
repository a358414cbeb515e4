"""Ensure that the image registry holds the image of a release: reuse it, or build it from the reviewed model."""

import os
import shutil
import tempfile
from pathlib import Path

from pipelines.cli.errors import AlreadyPrinted, Unreachable
from pipelines.cli.progress import Progress, write_for_job
from pipelines.cli.scratch import scratch_folder
from pipelines.cli.verbs import run_verb
from pipelines.deployment.containers import docker
from pipelines.model.signature import Signature
from pipelines.release import fetch_model, signatures, smoke_test
from pipelines.release.image import build_image, push_image
from pipelines.release.image_registry import PRODUCTION, ImageRegistry
from pipelines.release.target_commit import TargetCommit, prepare_target_commit
from pipelines.repository import tags

FREE_GB = 3  # an image, its layers in Docker's cache, and the model's files


def build_ahead(revision: str) -> int:
    """Build and push the image of a commit before its release, so that a workflow can sign it in between.

    The job's outputs are the image's repository, its digest, and whether it had to be built.
    """
    target = prepare_target_commit(revision)
    reference, built = ensure_image(target, ImageRegistry.from_environment(), Progress())
    repository, _, digest = reference.partition("@")
    print(f"{reference} ({'built' if built else 'existed already'})")
    write_for_job("GITHUB_OUTPUT", f"repository={repository}\ndigest={digest}\nbuilt={str(built).lower()}")
    return 0


def ensure_tested_image(
    target: TargetCommit, image_registry: ImageRegistry, progress: Progress
) -> tuple[str, Signature]:
    """Ensure that the release's image exists, is signed where images are signed, and passes the smoke test.

    Returns REPOSITORY@DIGEST, and the signature of the model in the image.
    """
    reference, _ = ensure_image(target, image_registry, progress)
    progress.print(signatures.verify_signature(reference))
    with progress.step("Testing the image with the critical cases"):
        return reference, smoke_test.run_smoke_test(reference, target)


def ensure_image(target: TargetCommit, image_registry: ImageRegistry, progress: Progress) -> tuple[str, bool]:
    """Return REPOSITORY@DIGEST of the release's image in the image registry, and whether it had to be built.

    A registered version names its image by digest, and that image is reused while it exists; else the image tagged
    with the release id. Where images are signed, an unsigned image (of a run that was killed before it signed, or from
    before images were signed) is built again, because the workflow signs only images that it built itself.

    Raises Unreachable, before anything is trained or built, if something that this needs does not respond;
    Refused if the reviewed model cannot be fetched, or the image cannot be built, and AlreadyPrinted if the
    model had to be trained again and that gave another one.
    """
    _require_engine_registry_and_disk(image_registry)
    _verify_model(target)
    version = tags.find_version(target.model_name, target.release_id)
    if version and image_registry.has_image(version.annotation.digest):
        reference = image_registry.reference(version.annotation.digest)
        if signatures.is_trusted(reference):
            return reference, False
    if tagged := image_registry.find_digest(target.release_id):
        reference = image_registry.reference(tagged)
        if signatures.is_trusted(reference):
            return reference, False
    with scratch_folder("release") as scratch:
        models = scratch / "models"
        source = fetch_model.fetch_model(target, models, progress)
        progress.print(f"  the model comes from {source}")
        with progress.step("Building the image"):
            local_name = build_image(target, models, scratch / "build")
    with progress.step("Pushing the image"):
        push_image(local_name, f"{image_registry.repository}:{target.release_id}")
    if pushed := image_registry.find_digest(target.release_id):
        return image_registry.reference(pushed), True
    raise Unreachable("the image registry lacks the pushed image", "Check the image registry, then run again.")


def _require_engine_registry_and_disk(image_registry: ImageRegistry) -> None:
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


def _verify_model(target: TargetCommit) -> None:
    """With `release.rebuild: true`, train a new release's model again, unless another job did so for this commit."""
    if not target.params.release.rebuild or os.environ.get("VERIFIED_COMMIT") == target.commit:
        return
    if code := run_verb("verify", "--rev", target.commit, "--before-release").returncode:
        raise AlreadyPrinted(code)
