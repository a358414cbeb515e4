"""A release, step by step. Each step finds what an earlier run left, so that it may die anywhere and be run again.

Pushing the assignment's tag is the commit point: before it nothing counts, after it the rest follows from git.
"""

from __future__ import annotations

from pathlib import Path

from pipelines import origin, tags
from pipelines.errors import InputError, Unreachable
from pipelines.git import try_git
from pipelines.identity import release_id
from pipelines.ingest.remote import from_environment
from pipelines.progress import Progress
from pipelines.release import (
    annotation,
    candidate,
    deploy,
    people,
    provide,
    reconcile,
    signed,
    smoke,
    steps,
    tagging,
)
from pipelines.release.candidate import Candidate
from pipelines.release.registry import Registry
from pipelines.release.tagging import Taken
from pipelines.scorer import Signature
from pipelines.tags import Assignment, Version

RETRIES = 5  # of a tag whose number another run took meanwhile


class Superseded(Exception):
    """What is in production comes from a newer commit: this one's release is over."""


def release(revision: str) -> int:
    """Put a commit of main into production.

    Returns:
        0, also where it puts nothing new into production or a newer commit is there already.

    Raises:
        Refused: if the model's bytes, the image or its answers are not those that were reviewed, or the service does
            not come up; production is as it was.
        Unreachable: if the engine, the registry, origin or a server cannot be asked.
    """
    progress, registry = Progress(), Registry.from_environment()
    from_environment(Path())
    tags.fetch()
    found = candidate.of(revision)
    progress.say(f"Release {found.release} of {found.name}, commit {found.commit[:12]}")
    try:
        assignment = _released(found, registry, progress)
    except Superseded as newer:
        # Whatever this run put there before it noticed, git says what must be there.
        print(f"Superseded: {newer}. Nothing of this commit is in production.")
        assignment = None
    reconcile.settle(found.params, registry, progress)
    steps.passed("settle")
    if assignment:
        print(f"{assignment.version} is in production as {assignment.tag}.")
    return 0


def _released(found: Candidate, registry: Registry, progress: Progress) -> Assignment | None:
    """Bring a commit from where it is to its assignment; None where production has its release already."""
    _not_superseded(found)
    now = tags.newest(found.name)
    if now and now.release == found.release:
        print(f"Nothing to release: {now.version} ({now.release}) is in production since {now.at:%Y-%m-%d %H:%M} UTC.")
        return None
    digest, _ = provide.image(found, registry, progress)
    reference = registry.at(digest)
    progress.say(signed.verify(reference))
    with progress.step("Asking the image the critical cases"):
        signature = smoke.smoke(reference, found)
    steps.passed("smoke")
    version = _registered(found, reference, signature)
    progress.say(f"Version {version.tag}")
    steps.passed("register")
    _not_superseded(found)
    with progress.step("Deploying"):
        deploy.deploy(found.params, found.release, reference, version.tag)
    steps.passed("deploy")
    assignment = _assigned(found, version, reference)
    steps.passed("assign")
    return assignment


def _not_superseded(found: Candidate) -> None:
    """Stop where production's commit is a later one, or main went back to what production has meanwhile.

    Raises:
        Superseded: if it is so.
    """
    tags.fetch()
    now = tags.newest(found.name)
    if now is None or now.main_commit == found.commit:
        return
    if _is_ancestor(found.commit, now.main_commit):
        raise Superseded(f"{now.tag} comes from the later commit {now.main_commit[:12]}")
    main = origin.main()
    if main and main != found.commit and _is_ancestor(found.commit, main) and _release(main) == now.release:
        raise Superseded(f"main went back to {now.version}, which is in production, with {main[:12]}")


def _is_ancestor(commit: str, later: str) -> bool:
    return try_git("merge-base", "--is-ancestor", commit, later) is not None


def _release(commit: str) -> str | None:
    try:
        return release_id(commit)
    except InputError:
        return None


def _registered(found: Candidate, reference: str, signature: Signature) -> Version:
    """The version of the release: the registered one, else a new one on this commit."""
    for _ in range(RETRIES):
        if version := tags.version_of(found.name, found.release):
            return version
        said = annotation.of_version(found, reference, signature)
        try:
            number = tagging.next_number(tags.versions(found.name), said)
            return tagging.register(found.name, number, found.commit, said)
        except Taken:
            continue
    raise _busy()


def _assigned(found: Candidate, version: Version, reference: str) -> Assignment:
    """Put the assignment's tag on origin; whoever pushes first has won."""
    said = annotation.of_assignment(found, version, reference, people.of(found.commit))
    for _ in range(RETRIES):
        _not_superseded(found)
        now = tags.newest(found.name)
        if now and (now.release, now.main_commit) == (found.release, found.commit):
            return now  # another run of the same commit was faster
        try:
            return tagging.assign(found.name, version, said)
        except Taken:
            continue
    raise _busy()


def _busy() -> Unreachable:
    return Unreachable("others pushed tags all the while", "Run it again when no other release runs.")
