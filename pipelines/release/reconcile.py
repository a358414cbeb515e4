"""Reconciling with git: the image registry's tag, MLflow's alias, the service and the release note on GitHub."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines.cli.errors import MainlineError, Refused
from pipelines.cli.progress import Progress
from pipelines.config.params import Params
from pipelines.release import (
    approvals,
    deploy,
    ensure_image,
    fetch_model,
    model_registry,
    release_notes,
    signatures,
    smoke_test,
    tagging,
)
from pipelines.release.image_registry import PRODUCTION, ImageRegistry
from pipelines.release.tagging import TagTaken
from pipelines.release.target_commit import read_target_commit
from pipelines.repository import tags
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.tags import Assignment, Version


def reconcile(params: Params, progress: Progress) -> int:
    """Make everything equal to the newest assignment, and rebuild what was lost.

    Args:
        params: params.yaml of the checkout; its `serving.deploy` is used.

    Returns:
        0; also where nothing was ever in production, or the service has no host.
    """
    if deploy.report_missing_host(params):
        return 0
    set_remote_from_environment(Path())
    apply_assignment(params, ImageRegistry.from_environment(), progress, all_versions=True)
    if newest := tags.find_newest_assignment(params.model_name):
        print(f"{newest.version} is in production as {newest.tag}; service and registries agree with it.")
    else:
        print("Nothing was ever in production: there is nothing to reconcile.")
    return 0


def apply_assignment(
    params: Params, image_registry: ImageRegistry, progress: Progress, all_versions: bool = False
) -> None:
    """Make image registry, service, MLflow and GitHub's release note equal to the newest assignment.

    Args:
        params: settings whose `serving.deploy` is used, whichever commit is in production.
        all_versions: whether to register all missing versions in MLflow, not only the one in production.

    Raises:
        Refused: if the service does not start, or the image of production is lost and cannot be built again.
        Unreachable: if one of them does not respond.
    """
    tags.fetch_tags(params.model_name)
    newest = tags.find_newest_assignment(params.model_name)
    if newest is None:
        return
    newest = _ensure_assigned_image(newest, image_registry, progress)
    version, annotation = _require_version(newest), newest.annotation
    with progress.step("Reconciling the service and the image registry"):
        if not deploy.is_running(params, newest.release_id, annotation.image):
            deploy.deploy(params, newest.release_id, annotation.image, newest.version)
        if image_registry.find_digest(PRODUCTION) != annotation.digest:
            image_registry.move_tag(PRODUCTION, annotation.digest)
    _update_mlflow(version, newest, progress, tags.list_versions(params.model_name) if all_versions else [version])
    if github := approvals.connect_to_github():
        url = release_notes.publish_note(github, version, newest)
        progress.print(f"Release note: {url}")
    release_notes.append_job_summary(release_notes.format_note(version, newest))


def _require_version(assignment: Assignment) -> Version:
    """Return the version that an assignment puts into production.

    Raises:
        Refused: if no tag registers it, which no release leaves behind.
    """
    model_name = assignment.tag.partition("#")[0]
    version = tags.find_version(model_name, assignment.release_id)
    if version is None:
        raise Refused(
            f"{assignment.tag} assigns release id {assignment.release_id}, but no version's tag registers it",
            f"The tag was created by hand: see `git tag --list -n20 '{model_name}*'`, and restore the version's tag.",
        )
    return version


def _ensure_assigned_image(assignment: Assignment, image_registry: ImageRegistry, progress: Progress) -> Assignment:
    """Return an assignment whose image exists.

    A deleted image is built again. If the new image has another digest, a new assignment records it.

    Raises:
        Refused: if the new image fails the smoke test, or is not signed where images are signed.
    """
    if image_registry.has_image(assignment.annotation.digest):
        return assignment
    version = _require_version(assignment)
    target = read_target_commit(version.commit)
    progress.print(f"The image of {assignment.version} is gone.")
    digest, _ = ensure_image.ensure_image(target, image_registry, progress)
    if digest == assignment.annotation.digest:
        return assignment
    reference = image_registry.reference(digest)
    progress.print(signatures.verify_signature(reference))
    smoke_test.run_smoke_test(reference, target)
    annotation = assignment.annotation.model_copy(update={"image": reference})
    for _ in range(tagging.RETRIES):
        counter = tagging.choose_next_counter(target.model_name)
        tags.fetch_tags(target.model_name)
        newest = tags.find_newest_assignment(target.model_name)
        if newest is None:
            return assignment
        if newest.release_id != assignment.release_id or image_registry.has_image(newest.annotation.digest):
            return newest  # another run was faster
        try:
            recorded = tagging.assign_version(target.model_name, counter, version, annotation)
        except TagTaken:
            continue
        progress.print(f"Built again as {digest[:19]}, recorded by {recorded.tag}.")
        return recorded
    raise tagging.retries_exhausted()


def _update_mlflow(production: Version, assignment: Assignment, progress: Progress, versions: list[Version]) -> None:
    """Register the versions that MLflow lacks, and point the alias to the version in production."""
    model_name = assignment.tag.partition("#")[0]
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        progress.print(model_registry.SKIPPED)
        return
    registered = model_registry.list_registered_versions(model_name)
    for version in versions:
        in_production = version.tag == production.tag
        if version.release_id in registered:
            if in_production:  # a new assignment may have another commit and image
                model_registry.register_model(model_name, version, Path(), assignment)
            continue
        with tempfile.TemporaryDirectory(prefix="models-") as scratch:
            models = Path(scratch)
            target = read_target_commit(version.commit)
            try:
                fetch_model.fetch_model(target, models, approvals.connect_to_github(), progress)
            except MainlineError as error:
                if in_production:
                    raise
                progress.print(f"MLflow: {version.tag} is not registered: {error}")
                continue
            recorded = assignment if in_production else None
            progress.print(model_registry.register_model(model_name, version, models, recorded))
    progress.print(model_registry.set_champion(model_name, production.release_id))
