"""Creating and pushing the tags of versions and assignments. Of several runs, the first push wins."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import ParamSpec, TypeVar

from pipelines.cli.errors import Refused, Unreachable
from pipelines.repository import origin, tags
from pipelines.repository.git import git, try_git
from pipelines.repository.tags import PRODUCTION, Annotation, Assignment, Number, Version

RETRIES = 5
_P = ParamSpec("_P")
_R = TypeVar("_R")


class TagTaken(Exception):
    """Another run pushed a tag of this name first; it has been fetched."""


def retry_if_taken(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function that pushes a tag: while other runs take the tag's number, call it again."""

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for _ in range(RETRIES):
            with suppress(TagTaken):
                return function(*args, **kwargs)
        raise Unreachable(f"other runs took the tag's number {RETRIES} times", "Run again when no other release runs.")

    return call


def register_version(model_name: str, number: Number, commit: str, annotation: Annotation) -> Version:
    """Tag a version on the commit of main that was released first; TagTaken if another version has this number."""
    tag = f"{model_name}@v{'.'.join(map(str, number))}"
    _create_tag(tag, model_name, commit, annotation)
    return Version(tag, number, commit, annotation)


def assign_version(
    model_name: str, counter: int, version: Version, annotation: Annotation, stage: str = PRODUCTION
) -> Assignment:
    """Assign a version to a stage. To production, this is the commit point of a release.

    The tag is on the version's commit, because GTO would otherwise show a bare commit in production. The annotation
    names the commit of main that was released. Choose the counter before you decide to assign: an assignment that
    another run makes in between then takes the counter, and this call raises TagTaken.
    """
    tag = f"{model_name}#{stage}#{counter}"
    _create_tag(tag, model_name, version.commit, annotation)
    return next(assignment for assignment in tags.list_assignments(model_name, stage) if assignment.tag == tag)


def assign_again(assignment: Assignment, stage: str, weight: int | None = None, why: str | None = None) -> Assignment:
    """Assign the version of a canary's assignment to a stage, with what its annotation records of the release.

    Args:
        stage: CANARY for another weight (in percent), PRODUCTION to promote it, CANARY_END to end it.
        why: why it ends.

    Raises TagTaken if another run took the counter; the caller decides again, then.
    """
    model_name = assignment.tag.partition("#")[0]
    tag = f"{model_name}#{stage}#{tags.find_highest_counter(model_name) + 1}"
    fields = assignment.annotation.model_dump(exclude_unset=True, exclude={"weight", "why"})
    fields |= {name: value for name, value in (("weight", weight), ("why", why)) if value is not None}
    _create_tag(tag, model_name, assignment.commit, Annotation(**fields))
    return next(item for item in tags.list_assignments(model_name, stage) if item.tag == tag)


def _create_tag(tag: str, model_name: str, commit: str, annotation: Annotation) -> None:
    """Create a tag at origin first and here second, so that a kill leaves no tag here that origin lacks."""
    text = annotation.to_yaml()
    if tags.parse_annotation(text) is None:
        raise Refused(f"the annotation of {tag} could not be read again", "Fix reports/metrics.json of the commit.")
    # GTO orders tags by the tagger's time in whole seconds, and this clock may be behind that of the last tag.
    timestamp = max(int(time.time()), tags.find_latest_time(model_name) + 1)
    tagger = git("var", "GIT_COMMITTER_IDENT", env={"GIT_COMMITTER_DATE": f"{timestamp} +0000", **origin.author()})
    tag_object = git("mktag", stdin=f"object {commit}\ntype commit\ntag {tag}\ntagger {tagger}\n\n{text}")
    if try_git("remote", "get-url", "origin"):
        _push_tag(tag, model_name, tag_object)
        git("update-ref", f"refs/tags/{tag}", tag_object)
    elif try_git("update-ref", f"refs/tags/{tag}", tag_object, "") is None:
        raise TagTaken(tag)


def _push_tag(tag: str, model_name: str, tag_object: str) -> None:
    """Push a tag's object, without overwriting another one. A push whose response was lost has succeeded."""
    try:
        origin.run_git("push", "--quiet", "origin", f"{tag_object}:refs/tags/{tag}")
    except subprocess.CalledProcessError as error:
        # If origin does not respond either, the next run finds the tag there, or creates it again.
        pushed = origin.read_ref(f"refs/tags/{tag}")
        if pushed is None:
            reason, remedy = (error.stderr or "").strip(), "Give the token the permission `contents: write`."
            raise Unreachable(f"{tag} cannot be pushed: {reason}", f"{remedy} Then run again.") from error
        if pushed != tag_object:
            tags.fetch_tags(model_name)
            raise TagTaken(tag) from error
