"""Reconciling with git: the image registry's tag, MLflow's alias, the service and the release note on GitHub."""

import os
from pathlib import Path

from pipelines.cli.errors import MainlineError, Refused, Unreachable
from pipelines.cli.progress import Progress, write_for_job
from pipelines.cli.scratch import scratch_folder
from pipelines.config.params import Params
from pipelines.release import approvals, canary, deploy, ensure_image, fetch_model, model_registry, release_notes
from pipelines.release.image_registry import PRODUCTION, ImageRegistry
from pipelines.release.target_commit import read_target_commit
from pipelines.repository import push_tags, tags
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.tags import Assignment, Version


def reconcile(params: Params) -> int:
    """Make everything equal to the newest assignment, and rebuild what was lost; without an assignment, do nothing.

    With `serving.deploy: pull`, this machine is a host of the service and runs it as a container, unless it is one of
    GitHub's runners.
    """
    deploy.require_host(params)
    if params.serving.is_pulled and not deploy.is_deleted_after_job():
        params = params.model_copy(update={"serving": params.serving.model_copy(update={"deploy": None})})
    set_remote_from_environment(Path())
    apply_assignment(params, ImageRegistry.from_environment(), Progress(), all_versions=True)
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
    """
    tags.fetch_tags(params.model_name)
    newest = tags.find_newest_assignment(params.model_name)
    if newest is None:
        return
    try:
        if not image_registry.has_image(newest.annotation.digest):
            newest = _rebuild_image(params.model_name, newest, image_registry, progress)
    except Unreachable:
        deploy.ensure_deployed(params, newest)  # this host may have the image
        raise
    canary.end_if_passed(params.model_name)
    version, digest = _require_version(params.model_name, newest), newest.annotation.digest
    with progress.step("Reconciling the service and the image registry"):
        deploy.ensure_deployed(params, newest)
        deploy.ensure_canary(params, tags.find_canary(params.model_name))
        if image_registry.find_digest(PRODUCTION) != digest:
            image_registry.move_tag(PRODUCTION, digest)
    versions = tags.list_versions(params.model_name) if all_versions else [version]
    _update_mlflow(params.model_name, versions, newest, progress)
    if github := approvals.connect_to_github():
        progress.print(f"Release note: {release_notes.publish_note(github, version, newest)}")
    write_for_job("GITHUB_STEP_SUMMARY", release_notes.format_note(version, newest))


def _require_version(model_name: str, assignment: Assignment) -> Version:
    """Return the version that an assignment puts into production; Refused if no tag registers it."""
    if version := tags.find_version(model_name, assignment.release_id):
        return version
    raise Refused(
        f"{assignment.tag} assigns release id {assignment.release_id}, but no version's tag registers it",
        f"The tag was created by hand: see `git tag --list -n20 '{model_name}*'`, and restore the version's tag.",
    )


@push_tags.retry_if_taken
def _rebuild_image(
    model_name: str, assignment: Assignment, image_registry: ImageRegistry, progress: Progress
) -> Assignment:
    """Build the lost image of an assignment, and record it in a new assignment if its digest differs.

    Returns the newest assignment, which may be that of another run.
    """
    progress.print(f"The image of {assignment.version} is gone.")
    version = _require_version(model_name, assignment)
    reference, _ = ensure_image.ensure_tested_image(read_target_commit(version.commit), image_registry, progress)
    if reference == image_registry.reference(assignment.annotation.digest):
        return assignment
    counter = tags.find_highest_counter(model_name) + 1
    tags.fetch_tags(model_name)
    newest = tags.find_newest_assignment(model_name) or assignment
    if newest.release_id != assignment.release_id or image_registry.has_image(newest.annotation.digest):
        return newest
    annotation = assignment.annotation.model_copy(update={"image": reference})
    recorded = push_tags.assign_version(model_name, counter, version, annotation)
    print(f"The image was built again as {reference}, recorded by {recorded.tag}.")
    return recorded


def _update_mlflow(model_name: str, versions: list[Version], assignment: Assignment, progress: Progress) -> None:
    """Register the versions that MLflow lacks, and point the alias to the version in production."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        progress.print("MLflow: skipped, MLFLOW_TRACKING_URI is not set.")
        return
    registered = model_registry.list_registered_versions(model_name)
    for version in versions:
        if version.release_id in registered:
            continue
        with scratch_folder("models") as models:
            try:
                target = read_target_commit(version.commit)
                fetch_model.fetch_model(target, models, progress)
            except MainlineError as error:
                if version.release_id == assignment.release_id:
                    raise
                progress.print(f"MLflow: {version.tag} is not registered: {error}")
                continue
            progress.print(model_registry.register_model(model_name, version, models))
    progress.print(model_registry.set_champion(model_name, assignment))
