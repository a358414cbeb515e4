"""A rollback: revert in a worktree, review it as a restore, push it as a branch, and open its pull request."""

import os
from pathlib import Path

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.progress import Progress
from pipelines.pull_request.publish import REPRODUCED, fetch_state, publish, review_worktree
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Assignment
from pipelines.repository.worktree import temporary_worktree
from pipelines.rollback.revert import MainCommit, list_commits_to_revert, revert_commits

_OWN = ("Revert ", "Reapply ", REPRODUCED)  # beginnings of the commits that may be replaced


def rollback(tag: str | None, why: str | None = None) -> int:
    """Make the branch, the review and the pull request that restore an earlier version.

    It works in a worktree of main, so branch and files of the user stay as they are. A run after a killed one ends with
    the same branch and pull request.

    Args:
        tag: the version or assignment to restore; None for the version before the one in production.
        why: the evidence, for the pull request.

    Returns:
        0 if the review passes, 1 if a gate fails; the pull request exists in both cases.

    Raises:
        InputError: if there is no earlier version.
        Refused: if a revert conflicts, the review makes no report, or the branch has another release id than expected;
            in a workflow also if a revert changes workflow files, or workflows may not open pull requests.
        AlreadyPrinted: if the review cannot be made.
        Unreachable: if origin or GitHub does not respond.
    """
    progress = Progress()
    main, assignments = fetch_state(progress)
    try:
        main_release = release_id(main)
    except InputError:  # it has no model
        main_release = None
    target = choose_assignment(assignments, tag, main_release)
    commits = list_commits_to_revert(target.main_commit, main)
    if not commits:
        raise InputError(f"main is at {target.version} already, but it is not released", "Run the workflow release.")
    listed = "\n".join(f"  {commit}" for commit in commits)
    progress.print(f"Rolling back to {target.version} ({target.release_id}), by reverting:\n{listed}")
    with temporary_worktree(main, "rollback") as tree:
        revert_commits(tree, commits)
        _require_release_id(tree, target, "the reverts give")
        _require_pushable(tree, target, main)
        passed = review_worktree(tree, main)
        # The review commits what it reproduced, which may be another model.
        head = _require_release_id(tree, target, "the review reproduces")
    branch, body = f"rollback/{target.version.replace('@', '-')}-{main[:8]}", _describe(target, commits, why)
    return publish(branch, head, f"Roll back to {target.version}", body, passed, _OWN)


def choose_assignment(history: list[Assignment], tag: str | None, main_release: str | None) -> Assignment:
    """Return the assignment to roll back to.

    Args:
        history: all assignments, the oldest first.
        tag: a version (its last assignment is chosen) or an assignment; None for the newest assignment whose release
            id differs from the one in production.
        main_release: the release id of main, None if it has none. After a canary was aborted it is not production's,
            and main can return to what is in production.

    Raises:
        InputError: if there is no such assignment, or it is on main and in production.
    """
    if not history:
        raise InputError("nothing was ever in production, so nothing can be rolled back", "Merge a model first.")
    newest_first = history[::-1]
    current = newest_first[0]
    if tag is None:
        targets = [past for past in newest_first if past.release_id != current.release_id]
        message, remedy = f"{current.version} is the only version that was ever in production", "Merge another model."
    else:
        targets = [past for past in newest_first if tag in (past.tag, past.version)]
        versions = ", ".join(dict.fromkeys(past.version for past in newest_first))
        message, remedy = f"{tag} was never in production", f"Name one of these: {versions}."
    if not targets:
        raise InputError(message, remedy)
    if targets[0].release_id == current.release_id == main_release:
        raise InputError(
            f"{tag} is already in production", "Name another version, see `python -m pipelines release status`."
        )
    return targets[0]


def _require_release_id(tree: Path, target: Assignment, step: str) -> str:
    """Return the worktree's commit; refuse another release id than the target's."""
    head = git("rev-parse", "HEAD", cwd=tree)
    if (actual := release_id(head)) != target.release_id:
        raise Refused(
            f"{step} release id {actual}, not {target.release_id} of {target.version}",
            "Another change on main is part of the release; roll back to an earlier version, or revert by hand.",
        )
    return head


def _require_pushable(tree: Path, target: Assignment, main: str) -> None:
    """Refuse, in a workflow, reverts that change workflow files: GitHub takes no such push from a workflow's token."""
    changed = git("diff", "--name-only", main, "HEAD", "--", ".github/workflows", cwd=tree).splitlines()
    if not changed:
        return
    if os.environ.get("GITHUB_ACTIONS") == "true":
        raise Refused(
            f"the reverts change {', '.join(changed)}, which a workflow may not push",
            f"In a clone of your own, run `make rollback TO={target.version}`.",
        )
    print(f"The reverts change {', '.join(changed)}: to push them, a token needs the scope `workflow`.")


def _describe(target: Assignment, commits: list[MainCommit], why: str | None) -> str:
    """Return the text of the pull request."""
    reverted = "\n".join(f"- {commit.sha}" for commit in commits)
    return (
        f"Restores release id `{target.release_id}` ({target.version}), which was in production as {target.tag}. "
        + (f"Why: {why}\n\n" if why else "")
        + f"Reverted commits, newest first:\n\n{reverted}\n\nMerging deploys the image that still exists: "
        "nothing is trained or built."
    )
