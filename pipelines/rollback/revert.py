"""The revert commits of a rollback: which merges go, and in which order."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from pipelines.cli.errors import InputError, Refused
from pipelines.repository import origin
from pipelines.repository.git import git, object_at, try_git
from pipelines.repository.release_id import release_id

# What a release is made of or from. Code comes along: where it changes the model, it changes dvc.lock.
PATHS = ("dvc.lock", "data.dvc", "serving", "requirements/serving.txt")


@dataclass(frozen=True)
class Merged:
    """A commit on main's first-parent line, by hash and title."""

    sha: str
    title: str
    parents: int

    def __str__(self) -> str:
        """As in `git log --oneline`."""
        return f"{self.sha[:10]} {self.title}"


def since(target: str, main: str) -> list[Merged]:
    """What was merged after `target` and changed the release, the newest first; documentation stays.

    Raises:
        InputError: if `target` is not in main's history.
    """
    if try_git("merge-base", "--is-ancestor", target, main) is None:
        raise InputError(
            f"commit {target[:12]} of that release is not in the history of main",
            "Fetch all of it (`git fetch --unshallow origin main`), or name another release.",
        )
    lines = git("log", "--first-parent", "--format=%H%x00%P%x00%s", f"{target}..{main}").splitlines()
    merged = [Merged(sha, title, len(parents.split())) for sha, parents, title in (x.split("\0", 2) for x in lines)]
    return [commit for commit in merged if _changes_the_release(commit.sha)]


def _changes_the_release(sha: str) -> bool:
    before = f"{sha}^1"
    if any(object_at(sha, path) != object_at(before, path) for path in PATHS):
        return True
    try:
        return release_id(sha) != release_id(before)
    except InputError:
        return True  # one of the two has nothing to release, and that is a change too


def revert(commits: list[Merged]) -> None:
    """Revert each commit on the current branch, in this order.

    Raises:
        Refused: at a conflict, with all the commits; the branch is left without a half revert.
    """
    for commit in commits:
        mainline = ["--mainline", "1"] if commit.parents > 1 else []
        try:
            git("-c", "core.hooksPath=/dev/null", "revert", "--no-edit", *mainline, commit.sha, env=origin.author())
        except subprocess.CalledProcessError as error:
            conflicts = git("diff", "--name-only", "--diff-filter=U").splitlines()
            try_git("revert", "--abort")
            if not conflicts:
                raise
            said = ", ".join(conflicts)
            listed = "\n".join(f"  {each}{'  <- here' if each is commit else ''}" for each in commits)
            raise Refused(
                f"reverting {commit} conflicts in {said}. To be reverted, in this order:\n{listed}",
                "Revert them by hand on a branch (`git revert`, settle the conflict, `make review`), or go further "
                "back: `make rollback TO=TAG`.",
            ) from error
