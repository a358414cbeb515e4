"""Everything that follows from git: the registry's tag, MLflow's alias, the service, the release note."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines import tags
from pipelines.config import Params
from pipelines.errors import InputError, MainlineError, Refused
from pipelines.ingest.remote import from_environment
from pipelines.progress import Progress
from pipelines.release import bring, candidate, deploy, people, provide, register, signed, smoke, tagging, tell
from pipelines.release.registry import PRODUCTION, Registry
from pipelines.release.tagging import Taken
from pipelines.tags import Assignment, Version


def reconcile(params: Params, registry: Registry, progress: Progress) -> int:
    """Make everything equal to the newest assignment, and rebuild what was lost.

    Returns:
        0; also where nothing was ever in production, or the service has no host.
    """
    tags.fetch(params.release)
    now = tags.newest(params.release)
    if deploy.report_missing_host(_settings(now, params) if now else params):
        return 0
    from_environment(Path())
    settle(params, registry, progress, all_versions=True)
    if now := tags.newest(params.release):
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
    tags.fetch(params.release)
    now = tags.newest(params.release)
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
    _follow_in_mlflow(version, now, progress, tags.versions(params.release) if all_versions else [version])
    if github := people.github():
        address = tell.publish(github, version, now)
        progress.say(f"Release note: {address}")
    tell.summary(tell.note(version, now))


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
        return candidate.of(now.main_commit).params
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
    found = candidate.of(version.commit)
    progress.say(f"The image of {now.version} is gone.")
    digest, _ = provide.image(found, registry, progress)
    if digest == now.said.digest:
        return now
    reference = registry.at(digest)
    progress.say(signed.verify(reference))
    smoke.smoke(reference, found)
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
        progress.say(register.SKIPPED)
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
