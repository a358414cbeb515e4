"""The history of main: whether a commit is on it, and which of its commits changed the release id."""

from pipelines.cli.errors import InputError
from pipelines.repository.git import git, try_git
from pipelines.repository.release_id import FILES, release_id


def is_ancestor(commit: str, later: str) -> bool:
    """Return whether a commit is an ancestor of another, or the same; False where one of them is not fetched."""
    return try_git("merge-base", "--is-ancestor", commit, later) is not None


def find_introducing_commit(commit: str) -> str:
    """Return the commit of main that introduced a commit's release id: later ones may have changed only documents."""
    current = _read_release_id(commit)
    changes = _list_changes(commit)
    return next((change for change in changes if _read_release_id(f"{change}^") != current), commit)


def find_later_commit(release_id: str, after: str, main: str | None) -> str | None:
    """Return the newest commit of main after `after` that has a release id; None if none has, or there is no main."""
    changes = _list_changes(f"{after}..{main}") if main else []
    return next((change for change in changes if _read_release_id(change) == release_id), None)


def _read_release_id(commit: str) -> str | None:
    """Return the release id of a commit, or None where it has nothing to release."""
    try:
        return release_id(commit)
    except InputError:
        return None


def _list_changes(revisions: str) -> list[str]:
    """List the commits of main, newest first, that changed a file that the release id is made from."""
    return git("log", "--first-parent", "--format=%H", revisions, "--", *FILES).splitlines()
