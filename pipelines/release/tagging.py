"""The tags of releases, made: by git itself, annotated, and pushed one by one. Origin decides who was first."""

from __future__ import annotations

import subprocess
import time

from pipelines import origin, tags
from pipelines.errors import Unreachable
from pipelines.git import git, try_git
from pipelines.release import contract
from pipelines.tags import STAGE, Annotation, Assignment, Number, Version

FIRST: Number = (1, 0, 0)


class Taken(Exception):
    """Another run pushed a tag of that name first; it has been fetched."""


def next_number(known: list[Version], said: Annotation) -> Number:
    """The number of a new version, by semantic versioning seen from a client of the service.

    Major where yesterday's client breaks (`contract.breaks`) or nobody can tell, minor for another model, patch for the
    same model in another image.

    Args:
        known: all versions of the line, the lowest first.
        said: what the new version's tag will say.
    """
    if not known:
        return FIRST
    last = known[-1]
    major, minor, patch = last.number
    if last.said.signature != said.signature and contract.breaks(last.said.contract, said.contract):
        return major + 1, 0, 0
    if last.said.model != said.model:
        return major, minor + 1, 0
    return major, minor, patch + 1


def register(name: str, number: Number, commit: str, said: Annotation) -> Version:
    """Tag a version on the commit of main that was released first.

    Raises:
        Taken: if that number is another's already.
        Unreachable: if origin cannot be asked.
    """
    tag = f"{name}@v{'.'.join(map(str, number))}"
    _make(tag, name, commit, said)
    return Version(tag, number, commit, said)


def assign(name: str, version: Version, said: Annotation) -> Assignment:
    """Put a version into production: the commit point of a release.

    The tag lies on the version's commit, because GTO shows a bare commit as production otherwise; which commit of main
    was released stands in the annotation.

    Raises:
        Taken: if another run made an assignment meanwhile.
        Unreachable: if origin cannot be asked.
    """
    tag = f"{name}#{STAGE}#{tags.highest_counter(name) + 1}"
    _make(tag, name, version.commit, said)
    return next(each for each in tags.assignments(name) if each.tag == tag)


def _make(tag: str, name: str, commit: str, said: Annotation) -> None:
    ref = f"refs/tags/{tag}"
    if try_git("rev-parse", "--verify", "--quiet", ref) and _at_origin(ref) is None:
        git("tag", "--delete", tag)  # of a run that was killed before it pushed
    # GTO orders by whole seconds of the tagger's clock, which may be behind the last tag's.
    at = max(int(time.time()), tags.latest_time(name) + 1)
    environment = {"GIT_COMMITTER_DATE": f"{at} +0000", **origin.author()}
    try:
        git(
            *("tag", "--annotate", "--no-sign", "--cleanup=verbatim", "-m", said.to_yaml(), tag, commit),
            env=environment,
        )
    except subprocess.CalledProcessError as error:
        if try_git("rev-parse", "--verify", "--quiet", ref):
            raise Taken(tag) from error
        raise
    if try_git("remote", "get-url", "origin") is not None:
        _push(tag, ref)


def _push(tag: str, ref: str) -> None:
    """Push one tag, never over another one; what was not pushed does not stay here either."""
    ours = git("rev-parse", ref)
    try:
        origin.call("push", "--quiet", "origin", f"{ref}:{ref}")
        return
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip()
    try:
        theirs = _at_origin(ref)
    except subprocess.CalledProcessError:
        # Whether it arrived is not known: the next run finds it at origin, or removes it.
        raise Unreachable(f"{tag} cannot be pushed: {reason}", "Mend the network, run it again.") from None
    if theirs == ours:
        return
    git("tag", "--delete", tag)
    if theirs is None:
        raise Unreachable(
            f"{tag} cannot be pushed: {reason}",
            "Mend the rights of the token (contents: write), run it again.",
        )
    tags.fetch()
    raise Taken(tag)


def _at_origin(ref: str) -> str | None:
    """The tag object of a ref at origin, or None; without an origin, the one here."""
    if try_git("remote", "get-url", "origin") is None:
        return try_git("rev-parse", "--verify", "--quiet", ref)
    return origin.tip(ref)
