"""Everything that follows from git: the registry's tag, MLflow's alias, the service, the release note."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines import tags
from pipelines.config import Params
from pipelines.errors import MainlineError
from pipelines.progress import Progress
from pipelines.release import bring, candidate, deploy, people, provide, register, smoke, tagging, tell
from pipelines.release.registry import PRODUCTION, Registry
from pipelines.tags import Assignment, Version


def reconcile(params: Params, registry: Registry, progress: Progress) -> int:
    """Make everything equal to the newest assignment, and rebuild what was lost.

    Returns:
        0; also where nothing was ever in production.
    """
    tags.fetch()
    now = tags.newest(params.release)
    if now is None:
        print("Nothing was ever in production: there is nothing to reconcile.")
        return 0
    _restore_image(now, registry, progress)
    settle(params, registry, progress, all_versions=True)
    print(f"{now.version} is in production as {tags.newest(params.release).tag}; all that follows from it fits.")  # type: ignore[union-attr]
    return 0


def settle(params: Params, registry: Registry, progress: Progress, all_versions: bool = False) -> None:
    """Let registry, service, MLflow and GitHub's note follow the newest assignment; what already does is left alone.

    Args:
        all_versions: whether MLflow gets every version that it lacks, not only the one in production.

    Raises:
        Refused: if the service does not come up.
        Unreachable: if one of them cannot be asked.
    """
    tags.fetch()
    now = tags.newest(params.release)
    if now is None:
        return
    version = tags.version_of(params.release, now.release)
    assert version is not None, f"{now.tag} names a release without a version"
    with progress.step("Leading service and registries to it"):
        if not deploy.is_running(params, now.release, now.said.image):
            deploy.deploy(params, now.release, now.said.image, now.version)
        if registry.digest(PRODUCTION) != now.said.digest:
            registry.move(PRODUCTION, now.said.digest)
    _follow_in_mlflow(version, now, progress, tags.versions(params.release) if all_versions else [version])
    if github := people.github():
        address = tell.publish(github, version, now)
        progress.say(f"Release note: {address}")
    tell.summary(tell.note(version, now))


def _follow_in_mlflow(version: Version, now: Assignment, progress: Progress, wanted: list[Version]) -> None:
    name = now.tag.partition("#")[0]
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        progress.say("MLflow: skipped, MLFLOW_TRACKING_URI is not set.")
        return
    known = register.known(name)
    for each in wanted:
        if each.release in known:
            if each.tag == version.tag:
                register.put(name, each, Path(), now)  # its commit and image may be others than the last time
            continue
        found = candidate.of(each.commit)
        with tempfile.TemporaryDirectory(prefix="models-") as scratch:
            models = Path(scratch)
            try:
                bring.models(found, models, people.github(), progress)
            except MainlineError as error:
                if each.tag == version.tag:
                    raise
                progress.say(f"MLflow: {each.tag} stays out, {error}")
                continue
            progress.say(register.put(name, each, models, now if each.tag == version.tag else None))
    progress.say(register.champion(name, version.release))


def _restore_image(now: Assignment, registry: Registry, progress: Progress) -> None:
    """Build an image that was deleted again. Its digest is another one, which a new assignment records."""
    if registry.exists(now.said.digest):
        return
    version = tags.version_of(now.tag.partition("#")[0], now.release)
    assert version is not None
    found = candidate.of(version.commit)
    digest, _ = provide.image(found, registry, progress)
    reference = registry.at(digest)
    smoke.smoke(reference, found)
    said = now.said.model_copy(update={"image": reference})
    made = tagging.assign(found.name, version, said)
    progress.say(f"The image was gone. Built again as {digest[:19]}, recorded by {made.tag}.")
