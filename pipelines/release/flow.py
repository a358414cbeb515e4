"""A release, step by step. Each step detects what an earlier run did, so a killed release can be run again.

Pushing the assignment's tag is the commit point: before it nothing has changed, after it the rest follows from git.
"""

from dataclasses import replace

from pipelines.cli.errors import MainlineError
from pipelines.cli.progress import Progress
from pipelines.model.signature import Signature
from pipelines.release import approvals, canary, deploy, ensure_image, main_history, reconcile, tagging
from pipelines.release.image_registry import ImageRegistry
from pipelines.release.target_commit import TargetCommit, prepare_target_commit, read_model_name
from pipelines.repository import origin, push_tags, tags
from pipelines.repository.tags import Annotation, Assignment, Version


class Superseded(Exception):
    """The model in production comes from a newer commit: the release of this commit ends."""


class ModelRenamed(Superseded):
    """Main has another model name by now: this commit must not replace its model in production."""


def release(revision: str, retries_canary: bool = False) -> int:
    """Put a commit of main into production, or begin its rollout.

    Args:
        revision: the commit.
        retries_canary: begin a rollout again whose canary was aborted.

    Returns 0; also where production already has this release or a newer commit. After any error before the assignment,
    production stays as it was.
    """
    target = replace(prepare_target_commit(revision), retries_canary=retries_canary)
    progress, image_registry = Progress(), ImageRegistry.from_environment()
    progress.print(f"Release {target.release_id} of {target.model_name}, commit {target.commit[:12]}")
    before = tags.find_newest_assignment(target.model_name)
    assignment = None
    try:
        assignment = _release_target(target, image_registry, progress)
    except Superseded as reason:
        print(f"Superseded: {reason}. Nothing of this commit goes into production.")
        if isinstance(reason, ModelRenamed):
            return 0
        # This run may have deployed before it noticed: `apply_assignment` below deploys the newest assignment.
    except MainlineError:
        _restore_service(target, progress)
        raise
    reconcile.apply_assignment(target.params, image_registry, progress)
    if assignment is None:
        return 0
    weight = assignment.annotation.weight
    place = f"a canary with {weight} % of the requests" if weight else "in production"
    print(f"{assignment.version} is {place} as {assignment.tag}.")
    if target.params.serving.is_pulled:
        print("serving.deploy is `pull`: each host of the service deploys it with `make reconcile`.")
    # A revert's own run finds nothing to release if it ends just before this run pushes its tag.
    if before is None or before.release_id == assignment.release_id:
        return 0
    if revert := main_history.find_later_commit(before.release_id, target.commit, origin.main()):
        print(f"But main went back to {before.version} meanwhile, with {revert[:12]}.")
        return release(revert)
    return 0


def _release_target(target: TargetCommit, image_registry: ImageRegistry, progress: Progress) -> Assignment | None:
    """Run all steps up to the assignment; return None where production already has this release."""
    _require_not_superseded(target)
    newest = tags.find_newest_assignment(target.model_name)
    if newest and newest.release_id == target.release_id:
        since = f"{newest.assigned_at:%Y-%m-%d %H:%M} UTC"
        print(f"Nothing to release: {newest.version} ({newest.release_id}) is in production since {since}.")
        canary.end_if_reverted(target)
        return None
    running = tags.find_canary(target.model_name)
    if running and running.release_id == target.release_id:
        print(f"Nothing to release: {running.version} is a canary with {running.annotation.weight} % of the requests.")
        return None
    reference, signature = ensure_image.ensure_tested_image(target, image_registry, progress)
    version = _ensure_version(target, reference, signature)
    progress.print(f"Version {version.tag}")
    # Read before the deployment, so that nothing can fail between the deployment and the assignment.
    approval = approvals.read_approval(main_history.find_introducing_commit(target.commit))
    annotation = tagging.annotate_assignment(target, version, reference, approval)
    _require_not_superseded(target)
    if (weight := canary.first_share(target)) is not None:
        with progress.step("Starting the canary"):
            deploy.start_canary(target.params, target.release_id, reference, version.tag, weight)
        return _ensure_assignment(target, version, annotation.model_copy(update={"weight": weight}), tags.CANARY)
    if not target.params.serving.is_pulled:
        with progress.step("Deploying"):
            deploy.deploy(target.params, target.release_id, reference, version.tag)
    return _ensure_assignment(target, version, annotation)


def _restore_service(target: TargetCommit, progress: Progress) -> None:
    """Deploy the newest assignment where this run, or a killed run before it, left another release in the service."""
    newest = tags.find_newest_assignment(target.model_name)
    if newest is None:
        return
    try:
        with progress.step(f"Restoring the service to {newest.version}"):
            deploy.ensure_deployed(target.params, newest)
    except MainlineError as error:
        progress.print(f"The service could not be restored to {newest.version}: {error}. Run `make reconcile`.")


def _require_not_superseded(target: TargetCommit) -> None:
    """Raise Superseded if production has a later commit, or main has another model name or reverted this commit."""
    tags.fetch_tags(target.model_name)
    if (main := origin.main()) and (model_name := read_model_name(main)) not in (target.model_name, None):
        raise ModelRenamed(f"main releases {model_name} now, not {target.model_name}")
    newest = tags.find_newest_assignment(target.model_name)
    if newest is None or newest.main_commit == target.commit:
        return
    if main_history.is_ancestor(target.commit, newest.main_commit):
        raise Superseded(f"{newest.tag} comes from the later commit {newest.main_commit[:12]}")
    if newest.release_id == target.release_id:
        return
    if revert := main_history.find_later_commit(newest.release_id, target.commit, main):
        raise Superseded(f"main went back to {newest.version}, which is in production, with {revert[:12]}")
    running = tags.find_canary(target.model_name)
    if (
        running
        and running.main_commit != target.commit
        and main_history.is_ancestor(target.commit, running.main_commit)
    ):
        raise Superseded(f"{running.tag} comes from the later commit {running.main_commit[:12]}")
    if (aborted := canary.find_abort(target)) and not target.retries_canary:
        raise Superseded(f"its canary was aborted, {aborted.annotation.why}: change the model, or run with --retry")


@push_tags.retry_if_taken
def _ensure_version(target: TargetCommit, reference: str, signature: Signature) -> Version:
    """Return the registered version of the release, or register a new one on the target commit."""
    # Numbers before versions: if another run takes a number in between, the push fails and this function runs again.
    taken, versions = tags.list_numbers(target.model_name), tags.list_versions(target.model_name)
    if version := next((version for version in versions if version.release_id == target.release_id), None):
        return version
    annotation = tagging.annotate_version(target, reference, signature)
    number = tagging.choose_next_number(versions, taken, annotation)
    return push_tags.register_version(target.model_name, number, target.commit, annotation)


@push_tags.retry_if_taken
def _ensure_assignment(
    target: TargetCommit, version: Version, annotation: Annotation, stage: str = tags.PRODUCTION
) -> Assignment:
    """Push the assignment's tag. Of several runs, the first push wins."""
    counter = tags.find_highest_counter(target.model_name) + 1
    _require_not_superseded(target)
    find = tags.find_canary if stage == tags.CANARY else tags.find_newest_assignment
    newest = find(target.model_name)
    if newest and (newest.release_id, newest.main_commit) == (target.release_id, target.commit):
        return newest  # another run of this commit was faster
    return push_tags.assign_version(target.model_name, counter, version, annotation, stage)
