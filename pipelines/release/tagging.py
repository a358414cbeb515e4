"""The tags of releases, made: by git itself, annotated, and pushed one by one. Origin decides who was first."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from pipelines.cli.errors import Refused, Unreachable
from pipelines.release import compatibility
from pipelines.repository import origin, tags
from pipelines.repository.git import git, try_git
from pipelines.repository.tags import STAGE, Annotation, Assignment, Number, Version

FIRST: Number = (1, 0, 0)
RETRIES = 5  # of a tag whose number another run took meanwhile


class Taken(Exception):
    """Another run pushed a tag of that name first; it has been fetched."""


def next_number(known: list[Version], taken: set[Number], said: Annotation) -> Number:
    """The number of a new version, by semantic versioning seen from a client of the service.

    Major where yesterday's client breaks (`contract.breaks`) or nobody can tell, minor for another model, patch for the
    same model in another image.

    Args:
        known: all versions of the line, the lowest first.
        taken: all numbers that a tag has, also one that says nothing about a release.
        said: what the new version's tag will say.
    """
    number, step = _next(known, said)
    while number in taken:
        number = step(number)
    return number


def _next(known: list[Version], said: Annotation) -> tuple[Number, Callable[[Number], Number]]:
    """The number after the last one, and what leads from it to the next of its kind."""
    if not known:
        return FIRST, _minor
    last = known[-1]
    if last.said.signature != said.signature and compatibility.breaks(last.said.contract, said.contract):
        step = _major
    elif last.said.model != said.model:
        step = _minor
    else:
        step = _patch
    return step(last.number), step


def _major(number: Number) -> Number:
    return number[0] + 1, 0, 0


def _minor(number: Number) -> Number:
    return number[0], number[1] + 1, 0


def _patch(number: Number) -> Number:
    return number[0], number[1], number[2] + 1


def register(name: str, number: Number, commit: str, said: Annotation) -> Version:
    """Tag a version on the commit of main that was released first.

    Raises:
        Taken: if that number is another's already.
        Refused: if the tag could not be read again.
        Unreachable: if origin cannot be asked.
    """
    tag = f"{name}@v{'.'.join(map(str, number))}"
    _make(tag, name, commit, said)
    return Version(tag, number, commit, said)


def next_counter(name: str) -> int:
    """The number of the next assignment. Read it before whatever decides to assign: what comes between takes it."""
    return tags.highest_counter(name) + 1


def assign(name: str, counter: int, version: Version, said: Annotation) -> Assignment:
    """Put a version into production: the commit point of a release.

    The tag lies on the version's commit, because GTO shows a bare commit as production otherwise; which commit of main
    was released stands in the annotation.

    Raises:
        Taken: if another run made an assignment meanwhile.
        Refused: if the tag could not be read again.
        Unreachable: if origin cannot be asked.
    """
    tag = f"{name}#{STAGE}#{counter}"
    _make(tag, name, version.commit, said)
    return next(each for each in tags.assignments(name) if each.tag == tag)


def busy() -> Unreachable:
    """What to raise when the retries are over."""
    return Unreachable("others pushed tags all the while", "Run it again when no other release runs.")


def _make(tag: str, name: str, commit: str, said: Annotation) -> None:
    """Make a tag that nobody has seen before origin has it, so that a kill leaves no half of one here."""
    text = said.to_yaml()
    if tags.read(text) is None:
        raise Refused(f"what {tag} would say could not be read again", "Look at reports/metrics.json of the commit.")
    # GTO orders by whole seconds of the tagger's clock, which may be behind the last tag's.
    at = max(int(time.time()), tags.latest_time(name) + 1)
    by = git("var", "GIT_COMMITTER_IDENT", env={"GIT_COMMITTER_DATE": f"{at} +0000", **origin.author()})
    made = git("mktag", stdin=f"object {commit}\ntype commit\ntag {tag}\ntagger {by}\n\n{text}")
    ref = f"refs/tags/{tag}"
    if try_git("remote", "get-url", "origin") is None:
        if try_git("update-ref", ref, made, "") is None:
            raise Taken(tag)
        return
    _push(tag, name, ref, made)
    git("update-ref", ref, made)


def _push(tag: str, name: str, ref: str, made: str) -> None:
    """Push a tag's object, never over another one."""
    try:
        origin.call("push", "--quiet", "origin", f"{made}:{ref}")
        return
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip()
    try:
        theirs = origin.tip(ref)
    except Unreachable:
        # Whether it arrived is not known: the next run finds it at origin, or makes it again.
        raise Unreachable(f"{tag} cannot be pushed: {reason}", "Mend the network, run it again.") from None
    if theirs == made:
        return
    if theirs is None:
        raise Unreachable(
            f"{tag} cannot be pushed: {reason}",
            "Mend the rights of the token (contents: write), run it again.",
        )
    tags.fetch(name)
    raise Taken(tag)
