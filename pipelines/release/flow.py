"""A release, step by step. Each step finds what an earlier run left, so that it may die anywhere and be run again.

Pushing the assignment's tag is the commit point: before it nothing counts, after it the rest follows from git.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.cli.errors import MainlineError
from pipelines.cli.progress import Progress
from pipelines.model.signature import Signature
from pipelines.release import (
    approvals,
    deploy,
    ensure_image,
    main_history,
    reconcile,
    signatures,
    smoke_test,
    steps,
    tag_annotations,
    tagging,
    target_commit,
)
from pipelines.release.image_registry import Registry
from pipelines.release.tagging import RETRIES, Taken
from pipelines.release.target_commit import Candidate
from pipelines.repository import origin, tags
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.tags import Annotation, Assignment, Version


class Superseded(Exception):
    """What is in production comes from a newer commit: this one's release is over."""


class Renamed(Superseded):
    """Main releases another line by now, and this one must not take its place."""


def release(revision: str) -> int:
    """Put a commit of main into production.

    Returns:
        0, also where it puts nothing new into production, a newer commit is there already, or the service has no host.

    Raises:
        InputError: if the commit is not on origin's main.
        Refused: if the model's bytes, the image or its answers are not those that were reviewed, or the service does
            not come up; production is as it was.
        Unreachable: if the engine, the registry, origin or a server cannot be asked.
    """
    found = target_commit.of(revision)
    if deploy.report_missing_host(found.params):
        return 0
    progress, registry = Progress(), Registry.from_environment()
    set_remote_from_environment(Path())
    tags.fetch(found.name)
    main_history.must_be_on_main(found.commit)
    progress.say(f"Release {found.release} of {found.name}, commit {found.commit[:12]}")
    before = tags.newest(found.name)
    assignment = None
    try:
        assignment = _released(found, registry, progress)
    except Superseded as newer:
        print(f"Superseded: {newer}. Nothing of this commit goes into production.")
        if isinstance(newer, Renamed):
            return 0
        # Whatever this run put there before it noticed, git says what must be there.
    except MainlineError:
        _lead_back(found, progress)
        raise
    reconcile.settle(found.params, registry, progress)
    steps.passed("settle")
    if assignment:
        print(f"{assignment.version} is in production as {assignment.tag}.")
        # Its own run may have found nothing to release, just before this one pushed its tag.
        if (
            before
            and before.release != assignment.release
            and (back := main_history.went_back_to(before.release, found.commit))
        ):
            print(f"But main went back to {before.version} meanwhile, with {back[:12]}.")
            return release(back)
    return 0


def _released(found: Candidate, registry: Registry, progress: Progress) -> Assignment | None:
    """Bring a commit from where it is to its assignment; None where production has its release already."""
    _not_superseded(found)
    now = tags.newest(found.name)
    if now and now.release == found.release:
        print(f"Nothing to release: {now.version} ({now.release}) is in production since {now.at:%Y-%m-%d %H:%M} UTC.")
        return None
    digest, _ = ensure_image.image(found, registry, progress)
    reference = registry.at(digest)
    progress.say(signatures.verify(reference))
    with progress.step("Asking the image the critical cases"):
        signature = smoke_test.smoke(reference, found)
    steps.passed("smoke")
    version = _registered(found, reference, signature)
    progress.say(f"Version {version.tag}")
    steps.passed("register")
    # Asked before anything is deployed: a service that runs is to be assigned at once.
    said = tag_annotations.of_assignment(found, version, reference, approvals.of(main_history.brought_by(found.commit)))
    _not_superseded(found)
    with progress.step("Deploying"):
        deploy.deploy(found.params, found.release, reference, version.tag)
    steps.passed("deploy")
    assignment = _assigned(found, version, said)
    steps.passed("assign")
    return assignment


def _lead_back(found: Candidate, progress: Progress) -> None:
    """Let production be what it is by git, where this run, or one that was killed before it, left something else."""
    now = tags.newest(found.name)
    if now is None or deploy.is_running(found.params, now.release, now.said.image):
        return
    try:
        with progress.step(f"Leading the service back to {now.version}"):
            deploy.deploy(found.params, now.release, now.said.image, now.version)
    except MainlineError as error:
        progress.say(f"The service is not led back to {now.version}: {error}. Run `make reconcile`.")


def _not_superseded(found: Candidate) -> None:
    """Stop where production's commit is a later one, or main went on to another line or back to what production has.

    Raises:
        Superseded: if it is so.
    """
    tags.fetch(found.name)
    if (main := origin.main()) and (line := target_commit.line(main)) not in (found.name, None):
        raise Renamed(f"main releases {line} now, not {found.name}")
    now = tags.newest(found.name)
    if now is None or now.main_commit == found.commit:
        return
    if main_history.is_ancestor(found.commit, now.main_commit):
        raise Superseded(f"{now.tag} comes from the later commit {now.main_commit[:12]}")
    if now.release != found.release and (back := main_history.went_back_to(now.release, found.commit)):
        raise Superseded(f"main went back to {now.version}, which is in production, with {back[:12]}")


def _registered(found: Candidate, reference: str, signature: Signature) -> Version:
    """The version of the release: the registered one, else a new one on this commit."""
    for _ in range(RETRIES):
        # The numbers are read first, and the versions once: what another run makes in between takes its number.
        taken, known = tags.numbers(found.name), tags.versions(found.name)
        if version := next((each for each in known if each.release == found.release), None):
            return version
        said = tag_annotations.of_version(found, reference, signature)
        try:
            number = tagging.next_number(known, taken, said)
            return tagging.register(found.name, number, found.commit, said)
        except Taken:
            continue
    raise tagging.busy()


def _assigned(found: Candidate, version: Version, said: Annotation) -> Assignment:
    """Put the assignment's tag on origin; whoever pushes first has won."""
    for _ in range(RETRIES):
        counter = tagging.next_counter(found.name)
        _not_superseded(found)
        now = tags.newest(found.name)
        if now and (now.release, now.main_commit) == (found.release, found.commit):
            return now  # another run of the same commit was faster
        try:
            return tagging.assign(found.name, counter, version, said)
        except Taken:
            continue
    raise tagging.busy()
