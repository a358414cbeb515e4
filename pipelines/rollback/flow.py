"""A rollback: revert on a branch, review it as a restore, push it, and open its pull request."""

import json
import os
import subprocess
from pathlib import Path

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.config.paths import REVIEW
from pipelines.pull_request.publish import Proposal, publish_proposal
from pipelines.repository import origin, tags
from pipelines.repository.dvc_lock import is_generated
from pipelines.repository.git import branch, git, has_origin, try_git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Assignment
from pipelines.rollback.revert import MainCommit, list_commits_to_revert, revert_commits
from pipelines.rollback.target import choose_assignment

_REPRODUCED = "Reproduce the pipeline"
_OWN = ("Revert ", "Reapply ", _REPRODUCED)  # beginnings of the commits that may be replaced


def rollback(tag: str | None, why: str | None = None) -> int:
    """Make the branch, the review and the pull request that restore an earlier version.

    After a kill, the next run starts again from main and ends with the same branch and pull request. It leaves the user
    on that branch; where the reverts or the review fail, on the branch where it started.

    Args:
        tag: the version or assignment to restore; None for the version before the one in production.
        why: the evidence, for the pull request.

    Returns:
        0 if the review passes, 1 if a gate fails; the pull request exists in both cases.

    Raises:
        InputError: if there is no earlier version, or the work tree has changes.
        Refused: if a revert conflicts, the review makes no report, or the branch has another release id than expected;
            in a workflow also if a revert changes workflow files, or workflows may not open pull requests.
        Unreachable: if origin or GitHub does not respond.
    """
    progress = Progress()
    _discard_killed_run()
    if changed := git("diff", "--name-only", "HEAD").splitlines():
        shown = ", ".join(changed[:5])
        raise InputError(f"the work tree has changes that are not committed: {shown}", "Commit or stash them first.")
    model_name = load().model_name
    with progress.step("Fetching main and the tags"):
        tags.fetch_tags(model_name)
        main = origin.main() or git("rev-parse", "main")
    try:
        main_release = release_id(main)
    except InputError:  # it has no model
        main_release = None
    target = choose_assignment(tags.list_assignments(model_name), tag, main_release)
    commits = list_commits_to_revert(target.main_commit, main)
    if not commits:
        raise InputError(f"main is at {target.version} already, but it is not released", "Run the workflow release.")
    start = try_git("symbolic-ref", "--short", "--quiet", "HEAD") or git("rev-parse", "HEAD")
    rollback_branch = f"rollback/{target.version.replace('@', '-')}-{main[:8]}"
    listed = "\n".join(f"  {commit}" for commit in commits)
    progress.print(f"Rolling back to {target.version} ({target.release_id}), by reverting:\n{listed}")
    git("checkout", "--quiet", "-B", rollback_branch, main)
    try:
        revert_commits(commits)
        _require_release_id(target, "the reverts give")
        _require_pushable(target, main)
        passed = _review(main)
        # The review commits what it reproduced, which may be another model.
        _require_release_id(target, "the review reproduces")
    except Exception:
        _delete_branch(rollback_branch, start, main)
        raise
    if has_origin():
        title, body = f"Roll back to {target.version}", _describe(target, commits, why)
        head, report = git("rev-parse", "HEAD"), REVIEW / "review.md"
        publish_proposal(Proposal(rollback_branch, head, title, body, report, passed, _OWN))
    else:
        print(f"Branch {rollback_branch} is ready; there is no origin to push it to.")
    return 0 if passed else 1


def _discard_killed_run() -> None:
    """Undo the unfinished revert or review of a killed run; on a rollback's branch only rollbacks write those files."""
    if not branch().startswith("rollback/"):
        return
    if Path(git("rev-parse", "--git-path", "REVERT_HEAD")).exists():
        git("revert", "--abort")
    if generated := [path for path in git("diff", "--name-only", "HEAD").splitlines() if is_generated(path)]:
        git("checkout", "--quiet", "HEAD", "--", *generated)


def _delete_branch(rollback_branch: str, start: str, main: str) -> None:
    """Check out where the rollback started, and delete its branch; if it started on that branch, check out main."""
    destination = start if start != rollback_branch else "main"
    if try_git("checkout", "--quiet", "--force", "--no-guess", destination, "--") is None:
        # There is no branch main here, or another work tree has it checked out.
        git("checkout", "--quiet", "--force", "--detach", main)
    git("branch", "--quiet", "-D", rollback_branch)


def _require_release_id(target: Assignment, step: str) -> None:
    if (actual := release_id("HEAD")) != target.release_id:
        raise Refused(
            f"{step} release id {actual}, not {target.release_id} of {target.version}",
            "Another change on main is part of the release; roll back to an earlier version, or revert by hand.",
        )


def _require_pushable(target: Assignment, main: str) -> None:
    """Refuse, in a workflow, reverts that change workflow files: GitHub takes no such push from a workflow's token."""
    changed = git("diff", "--name-only", main, "HEAD", "--", ".github/workflows").splitlines()
    if not changed:
        return
    if os.environ.get("GITHUB_ACTIONS") == "true":
        raise Refused(
            f"the reverts change {', '.join(changed)}, which a workflow may not push",
            f"In a clone of your own, run `make rollback TO={target.version}`.",
        )
    print(f"The reverts change {', '.join(changed)}: to push them, a token needs the scope `workflow`.")


def _review(main: str) -> bool:
    """Review the branch with its own code and environment, which make creates; return whether it passed."""
    report = REVIEW / "review.json"
    report.unlink(missing_ok=True)  # of an earlier review
    code = subprocess.run(["make", "review", f"BASE={main}"], check=False).returncode
    if not report.is_file():
        raise Refused(f"the review ended with {code} and made no report", "Fix the error above, then roll back again.")
    git("add", "--all", "--", "dvc.lock", "reports")
    if git("diff", "--cached", "--name-only"):
        git("commit", "--quiet", "--no-verify", "-m", _REPRODUCED, env=origin.author())
    return bool(code == 0 and json.loads(report.read_text(encoding="utf-8"))["verdict"] == "pass")


def _describe(target: Assignment, commits: list[MainCommit], why: str | None) -> str:
    """Return the text of the pull request."""
    reverted = "\n".join(f"- {commit.sha}" for commit in commits)
    return (
        f"Restores release id `{target.release_id}` ({target.version}), which was in production as {target.tag}. "
        + (f"Why: {why}\n\n" if why else "")
        + f"Reverted commits, newest first:\n\n{reverted}\n\nMerging deploys the image that still exists: "
        "nothing is trained or built."
    )
