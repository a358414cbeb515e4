"""Where a commit stands in the history of main, and what its commits brought."""

from __future__ import annotations

from pipelines.cli.errors import InputError
from pipelines.repository import origin
from pipelines.repository.git import git, try_git
from pipelines.repository.release_id import FILES, release_id


def must_be_on_main(commit: str) -> None:
    """Refuse a commit that is not on origin's main, where there is an origin.

    Raises:
        InputError: if it is not.
        Unreachable: if origin cannot be asked.
    """
    main = origin.main()
    if main and not is_ancestor(commit, main):
        raise InputError(f"{commit[:12]} is not on origin's main", "Merge it first: only main goes into production.")


def is_ancestor(commit: str, later: str) -> bool:
    """Whether a commit is another one's ancestor, or the same; False where one of them is not here."""
    return try_git("merge-base", "--is-ancestor", commit, later) is not None


def brought_by(commit: str) -> str:
    """The commit of main that brought the release that a commit bears: later ones may have changed documents alone."""
    release = release_of(commit)
    for change in _changes(commit):
        if release_of(f"{change}^") != release:
            return change
    return commit


def went_back_to(release: str, after: str) -> str | None:
    """The last commit of main behind another one that bears a release; None without an origin, or if none does."""
    main = origin.main()
    return next((each for each in _changes(f"{after}..{main}") if release_of(each) == release), None) if main else None


def release_of(commit: str) -> str | None:
    """The release that a commit bears, or None where it bears none."""
    try:
        return release_id(commit)
    except InputError:
        return None


def _changes(revisions: str) -> list[str]:
    """The commits of main, the newest first, that changed a file of which a release's identity is made."""
    return git("log", "--first-parent", "--format=%H", revisions, "--", *FILES).splitlines()
