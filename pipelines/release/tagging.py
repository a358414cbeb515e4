"""Creating and pushing the tags of versions and assignments. Of several runs, the first push wins."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from pipelines.cli.errors import Refused, Unreachable
from pipelines.release import compatibility
from pipelines.repository import origin, tags
from pipelines.repository.git import git, try_git
from pipelines.repository.tags import STAGE, Annotation, Assignment, Number, Version

FIRST_NUMBER: Number = (1, 0, 0)
RETRIES = 5  # of a tag whose number another run took meanwhile


class TagTaken(Exception):
    """Another run pushed a tag of this name first; it has been fetched."""


def choose_next_number(versions: list[Version], taken: set[Number], annotation: Annotation) -> Number:
    """Return the number of a new version, by semantic versioning as a client of the service sees it.

    Major if the contract breaks clients or cannot be read, minor for another model, patch for the same model in
    another image.

    Args:
        versions: all versions of the model, the lowest first.
        taken: the numbers of all tags, including tags that are not versions of a release.
        annotation: the new version's annotation.
    """
    increase = _choose_increase(versions, annotation)
    number = increase(versions[-1].number) if versions else FIRST_NUMBER
    while number in taken:
        number = increase(number)
    return number


def _choose_increase(versions: list[Version], annotation: Annotation) -> Callable[[Number], Number]:
    """Return the function from one number to the next: major, minor or patch."""
    if not versions:
        return _increase_minor
    last = versions[-1].annotation
    if last.signature != annotation.signature and compatibility.find_breaking_change(
        last.contract, annotation.contract
    ):
        return _increase_major
    return _increase_minor if last.model != annotation.model else _increase_patch


def _increase_major(number: Number) -> Number:
    return number[0] + 1, 0, 0


def _increase_minor(number: Number) -> Number:
    return number[0], number[1] + 1, 0


def _increase_patch(number: Number) -> Number:
    return number[0], number[1], number[2] + 1


def register_version(model_name: str, number: Number, commit: str, annotation: Annotation) -> Version:
    """Tag a version on the commit of main that was released first.

    Raises:
        TagTaken: if another version has this number.
        Refused: if the annotation is invalid.
        Unreachable: if origin does not respond.
    """
    tag = f"{model_name}@v{'.'.join(map(str, number))}"
    _create_tag(tag, model_name, commit, annotation)
    return Version(tag, number, commit, annotation)


def choose_next_counter(model_name: str) -> int:
    """Return the counter of the next assignment.

    Read it before you decide to assign: an assignment that another run makes in between then takes the counter, and the
    push fails.
    """
    return tags.find_highest_counter(model_name) + 1


def assign_version(model_name: str, counter: int, version: Version, annotation: Annotation) -> Assignment:
    """Put a version into production: the commit point of a release.

    The tag is on the version's commit, because GTO would otherwise show a bare commit in production. The annotation
    names the commit of main that was released.

    Raises:
        TagTaken: if another run made an assignment meanwhile.
        Refused: if the annotation is invalid.
        Unreachable: if origin does not respond.
    """
    tag = f"{model_name}#{STAGE}#{counter}"
    _create_tag(tag, model_name, version.commit, annotation)
    return next(assignment for assignment in tags.list_assignments(model_name) if assignment.tag == tag)


def retries_exhausted() -> Unreachable:
    """Return the error to raise after the last retry."""
    return Unreachable(f"other runs took the tag's number {RETRIES} times", "Run again when no other release runs.")


def _create_tag(tag: str, model_name: str, commit: str, annotation: Annotation) -> None:
    """Create a tag at origin first and here second, so that a kill leaves no tag here that origin lacks."""
    text = annotation.to_yaml()
    if tags.parse_annotation(text) is None:
        raise Refused(f"the annotation of {tag} could not be read again", "Fix reports/metrics.json of the commit.")
    # GTO orders tags by the tagger's time in whole seconds, and this clock may be behind that of the last tag.
    timestamp = max(int(time.time()), tags.find_latest_time(model_name) + 1)
    tagger = git("var", "GIT_COMMITTER_IDENT", env={"GIT_COMMITTER_DATE": f"{timestamp} +0000", **origin.author()})
    tag_object = git("mktag", stdin=f"object {commit}\ntype commit\ntag {tag}\ntagger {tagger}\n\n{text}")
    ref = f"refs/tags/{tag}"
    if try_git("remote", "get-url", "origin") is None:
        if try_git("update-ref", ref, tag_object, "") is None:
            raise TagTaken(tag)
        return
    _push_tag(tag, model_name, ref, tag_object)
    git("update-ref", ref, tag_object)


def _push_tag(tag: str, model_name: str, ref: str, tag_object: str) -> None:
    """Push a tag's object, without overwriting another one."""
    try:
        origin.run_git("push", "--quiet", "origin", f"{tag_object}:{ref}")
        return
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip()
    try:
        pushed = origin.read_ref(ref)
    except Unreachable:
        # Whether the push arrived is unknown: the next run finds the tag at origin, or creates it again.
        raise Unreachable(f"{tag} cannot be pushed: {reason}", "Fix the network, then run again.") from None
    if pushed == tag_object:
        return
    if pushed is None:
        raise Unreachable(
            f"{tag} cannot be pushed: {reason}", "Give the token the permission `contents: write`, then run again."
        )
    tags.fetch_tags(model_name)
    raise TagTaken(tag)
