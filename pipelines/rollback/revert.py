"""The revert commits of a rollback: which commits of main are reverted, and in which order."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import InputError, Refused
from pipelines.repository import origin
from pipelines.repository.git import git, object_at, try_git
from pipelines.repository.release_id import release_id

# Inputs of a release. Other code needs no entry: code that changes the model changes dvc.lock.
PATHS = ("dvc.lock", "data.dvc", "serving", "requirements/serving.txt")


@dataclass(frozen=True)
class MainCommit:
    """A commit on main's first-parent line: its hash, its title, and whether it is a merge commit."""

    sha: str
    title: str
    is_merge: bool

    def __str__(self) -> str:
        """Return the line of `git log --oneline`."""
        return f"{self.sha[:10]} {self.title}"


def list_commits_to_revert(target: str, main: str) -> list[MainCommit]:
    """List the commits of main after `target` that changed the release, newest first; documents are not reverted.

    Raises:
        InputError: if `target` is not in main's history.
    """
    if try_git("merge-base", "--is-ancestor", target, main) is None:
        raise InputError(
            f"the released commit {target[:12]} is not in the history of main",
            "Fetch the whole history (`git fetch --unshallow origin main`), or name another version.",
        )
    log = git("log", "--first-parent", "--format=%H%x00%P%x00%s", f"{target}..{main}").splitlines()
    fields = (line.split("\0", 2) for line in log)
    return [MainCommit(sha, title, " " in parents) for sha, parents, title in fields if _changes_release(sha)]


def _changes_release(sha: str) -> bool:
    parent = f"{sha}^1"
    if any(object_at(sha, path) != object_at(parent, path) for path in PATHS):
        return True
    try:
        return release_id(sha) != release_id(parent)
    except InputError:
        return True  # only one of the two commits has a model


def revert_commits(tree: Path, commits: list[MainCommit]) -> None:
    """Revert each commit in a worktree, in this order.

    Raises:
        Refused: if one conflicts; the message lists all commits.
    """
    for commit in commits:
        mainline = ["--mainline", "1"] if commit.is_merge else []
        try:
            hooks = ("-c", "core.hooksPath=/dev/null")
            git(*hooks, "revert", "--no-edit", *mainline, commit.sha, cwd=tree, env=origin.author())
        except subprocess.CalledProcessError as error:
            conflicts = git("diff", "--name-only", "--diff-filter=U", cwd=tree).splitlines()
            if not conflicts:
                raise
            marked = "\n".join(f"  {other}{'  <- here' if other is commit else ''}" for other in commits)
            raise Refused(
                f"reverting {commit} conflicts in {', '.join(conflicts)}. To be reverted, in this order:\n{marked}",
                "Revert them by hand on a branch (`git revert`, resolve the conflict, `make review`), or go further "
                "back: `make rollback TO=TAG`.",
            ) from error
