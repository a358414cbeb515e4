"""The image of a release in the registry: the one that is there, or one that is built from what was reviewed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.release import approvals, fetch_model, signatures, steps
from pipelines.release.image import build, push
from pipelines.release.image_registry import Registry
from pipelines.release.target_commit import Candidate
from pipelines.repository import tags


def image(found: Candidate, registry: Registry, progress: Progress) -> tuple[str, bool]:
    """The digest of the release's image in the registry, and whether it had to be built.

    A version that is registered names its image by digest; that one is taken as long as it exists, else the one that
    bears the release's name. Where images are signed, one that is not, because a run was killed before it signed or
    images were not signed then, is built again: nobody signs what he has not built.

    Raises:
        Refused: if the reviewed model cannot be had, or the image cannot be built.
    """
    known = tags.version_of(found.name, found.release)
    if known and registry.exists(known.said.digest) and signatures.is_trusted(registry.at(known.said.digest)):
        return known.said.digest, False
    digest = registry.digest(found.release)
    if digest and signatures.is_trusted(registry.at(digest)):
        return digest, False
    with tempfile.TemporaryDirectory(prefix="release-") as scratch:
        models = Path(scratch) / "models"
        how = fetch_model.models(found, models, approvals.github(), progress)
        progress.say(f"  the model comes from {how}")
        steps.passed("bring")
        with progress.step("Building the image"):
            local = build(found, models, Path(scratch) / "build")
        steps.passed("build")
    with progress.step("Pushing the image"):
        push(local, f"{registry.repository}:{found.release}")
    steps.passed("push")
    digest = registry.digest(found.release)
    if digest is None:
        raise Unreachable("the registry does not hold what was pushed to it", "Look into the registry, run it again.")
    return digest, True
