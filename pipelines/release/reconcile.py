"""Everything that follows from git: the registry's tag, MLflow's alias, the service, the release note."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines.cli.errors import InputError, MainlineError, Refused
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
    target_commit,
)
from pipelines.release.image_registry import PRODUCTION, Registry
from pipelines.release.tagging import Taken
from pipelines.repository import tags
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.tags import Assignment, Version


def reconcile(params: Params, registry: Registry, progress: Progress) -> int:
    """Make everything equal to the newest assignment, and rebuild what was lost.

    Returns:
        0; also where nothing was ever in production, or the service has no host.
    """
    tags.fetch(params.model_name)
    now = tags.newest(params.model_name)
    if deploy.report_missing_host(_settings(now, params) if now else params):
        return 0
    set_remote_from_environment(Path())
    settle(params, registry, progress, all_versions=True)
    if now := tags.newest(params.model_name):
        print(f"{now.version} is in production as {now.tag}; all that follows from it fits.")
    else:
        print("Nothing was ever in production: there is nothing to reconcile.")
    return 0


def settle(params: Params, registry: Registry, progress: Progress, all_versions: bool = False) -> None:
    """Let registry, service, MLflow and GitHub's note follow the newest assignment; what already does is left alone.

    Args:
        params: of the commit at hand; the settings of the deployment are those of the commit in production.
        all_versions: whether MLflow gets every version that it lacks, not only the one in production.

    Raises:
        Refused: if the service does not come up, or the image of production is lost and cannot be had again.
        Unreachable: if one of them cannot be asked.
    """
    tags.fetch(params.model_name)
    now = tags.newest(params.model_name)
    if now is None:
        return
    now = _with_image(now, registry, progress)
    version = _version_of(now)
    params = _settings(now, params)
    with progress.step("Leading service and registries to it"):
        if not deploy.is_running(params, now.release, now.said.image):
            deploy.deploy(params, now.release, now.said.image, now.version)
        if registry.digest(PRODUCTION) != now.said.digest:
            registry.move(PRODUCTION, now.said.digest)
    _follow_in_mlflow(version, now, progress, tags.versions(params.model_name) if all_versions else [version])
    if github := approvals.github():
        address = release_notes.publish(github, version, now)
        progress.say(f"Release note: {address}")
    release_notes.summary(release_notes.note(version, now))


def _version_of(now: Assignment) -> Version:
    """The version that an assignment puts into production.

    Raises:
        Refused: if no tag registers it, which no release leaves behind.
    """
    name = now.tag.partition("#")[0]
    version = tags.version_of(name, now.release)
    if version is None:
        raise Refused(
            f"{now.tag} puts release {now.release} into production, which no version's tag registers",
            f"Somebody made it by hand: look at `git tag --list -n20 '{name}*'`, and put its version's tag back.",
        )
    return version


def _settings(now: Assignment, params: Params) -> Params:
    """Those of the commit in production, where this code can read them; else the given ones."""
    try:
        return target_commit.of(now.main_commit).params
    except InputError:
        return params


def _with_image(now: Assignment, registry: Registry, progress: Progress) -> Assignment:
    """An assignment whose image is there. One that was deleted is built again; its other digest needs a new assignment.

    Raises:
        Refused: if it is not signed, where images are, or answers otherwise than it did.
    """
    if registry.exists(now.said.digest):
        return now
    version = _version_of(now)
    found = target_commit.of(version.commit)
    progress.say(f"The image of {now.version} is gone.")
    digest, _ = ensure_image.image(found, registry, progress)
    if digest == now.said.digest:
        return now
    reference = registry.at(digest)
    progress.say(signatures.verify(reference))
    smoke_test.smoke(reference, found)
    said = now.said.model_copy(update={"image": reference})
    for _ in range(tagging.RETRIES):
        counter = tagging.next_counter(found.name)
        tags.fetch(found.name)
        newest = tags.newest(found.name)
        if newest is None or newest.release != now.release or registry.exists(newest.said.digest):
            return newest or now  # another run was faster
        try:
            made = tagging.assign(found.name, counter, version, said)
        except Taken:
            continue
        progress.say(f"Built again as {digest[:19]}, recorded by {made.tag}.")
        return made
    raise tagging.busy()


def _follow_in_mlflow(version: Version, now: Assignment, progress: Progress, wanted: list[Version]) -> None:
    name = now.tag.partition("#")[0]
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        progress.say(model_registry.SKIPPED)
        return
    known = model_registry.known(name)
    for each in wanted:
        if each.release in known:
            if each.tag == version.tag:
                model_registry.put(name, each, Path(), now)  # its commit and image may be others than the last time
            continue
        found = target_commit.of(each.commit)
        with tempfile.TemporaryDirectory(prefix="models-") as scratch:
            models = Path(scratch)
            try:
                fetch_model.models(found, models, approvals.github(), progress)
            except MainlineError as error:
                if each.tag == version.tag:
                    raise
                progress.say(f"MLflow: {each.tag} stays out, {error}")
                continue
            progress.say(model_registry.put(name, each, models, now if each.tag == version.tag else None))
    progress.say(model_registry.champion(name, version.release))
