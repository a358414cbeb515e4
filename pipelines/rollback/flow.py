"""A rollback: revert on a branch, review it as a restore, push it, and open its pull request."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.github import checks, comment
from pipelines.github.client import GitHub, run_url
from pipelines.repository import origin, tags
from pipelines.repository.dvc_lock import is_generated
from pipelines.repository.git import branch, commit_of, git, try_git
from pipelines.repository.release_id import release_id
from pipelines.rollback.revert import Merged, revert, since
from pipelines.rollback.target import choose

REPORT = Path("reports/review")


def rollback(asked: str | None) -> int:
    """Make the branch, the review and the pull request that bring an earlier release back.

    Run again after a kill, it begins anew from main and ends with the one same branch and pull request. It leaves the
    user on that branch; where reverts or review are refused, on the one it began on.

    Returns:
        0 if the review passes, 1 if a gate says no; the pull request is there in both cases.

    Raises:
        InputError: if there is nothing to go back to, or the work tree has changes.
        Refused: if a revert conflicts, the review makes no report, or reverts or review do not give that release.
        Unreachable: if origin or GitHub cannot be asked.
    """
    progress = Progress()
    _resume()
    _clean()
    name = load().model_name
    with progress.step("Fetching main and the tags"):
        tags.fetch(name)
        main = origin.main() or git("rev-parse", "main")
    target = choose(tags.assignments(name), asked)
    commits = since(target.main_commit, main)
    if not commits:
        raise InputError(
            f"main already is at {target.version}, and only waits for its release", "Run the workflow release."
        )
    before, made = _stand(), f"rollback/{target.version.replace('@', '-')}-{main[:8]}"
    progress.say(f"Rolling back to {target.version} ({target.release}), by reverting:")
    for commit in commits:
        progress.say(f"  {commit}")
    git("checkout", "--quiet", "-B", made, main)
    try:
        revert(commits)
        _require(target, "the reverts give")
        passed = _review(main)
        # The review commits what it reproduced, and so may have made another model of it.
        _require(target, "the review reproduces")
    except Exception:
        _undo(made, before, main)
        raise
    if _origin():
        _publish(made, main, target, commits, passed)
    else:
        print(f"Branch {made} is ready; there is no origin to push it to.")
    return 0 if passed else 1


def _resume() -> None:
    """Undo the half revert or review of a run that was killed: on its branch nobody else writes those files."""
    if not branch().startswith("rollback/"):
        return
    if Path(git("rev-parse", "--git-path", "REVERT_HEAD")).exists():
        git("revert", "--abort")
    changed = git("diff", "--name-only", "HEAD").splitlines()
    if half := [path for path in changed if is_generated(path)]:
        git("checkout", "--quiet", "HEAD", "--", *half)


def _clean() -> None:
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        shown = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise InputError(
            f"the work tree has changes that are not committed: {shown}", "Commit or stash them, then roll back."
        )


def _stand() -> str:
    """The current branch, or the commit of a detached HEAD."""
    return try_git("symbolic-ref", "--short", "--quiet", "HEAD") or git("rev-parse", "HEAD")


def _undo(made: str, before: str, main: str) -> None:
    """Delete the rollback's branch, and go back to where it began; begun on that branch itself, to main."""
    back = before if before != made else "main"
    if try_git("checkout", "--quiet", "--force", "--no-guess", back, "--") is None:
        # There is no main here, or another work tree has it.
        git("checkout", "--quiet", "--force", "--detach", main)
    git("branch", "--quiet", "-D", made)


def _require(target: tags.Assignment, found: str) -> None:
    if (got := release_id("HEAD")) != target.release:
        raise Refused(
            f"{found} release {got}, not {target.release} of {target.version}",
            "Something else of the release changed on main; roll back to an earlier version, or revert by hand.",
        )


def _origin() -> bool:
    return try_git("remote", "get-url", "origin") is not None


def _review(main: str) -> bool:
    """Review the branch with its own code and environment, as anybody would; whether it passes."""
    # Of an earlier review nothing may be taken for this one's.
    (REPORT / "review.json").unlink(missing_ok=True)
    ended = subprocess.run(["make", "review", f"BASE={main}"], check=False).returncode
    try:
        verdict = json.loads((REPORT / "review.json").read_text(encoding="utf-8"))["verdict"]
    except (OSError, ValueError, KeyError) as error:
        raise Refused(
            f"the review ended with {ended} and without a report", "Mend what it says above, then roll back again."
        ) from error
    git("add", "--all", "--", "dvc.lock", "reports")
    if git("diff", "--cached", "--name-only"):
        git("commit", "--quiet", "--no-verify", "-m", "Reproduce the pipeline", env=origin.author())
    return bool(verdict == "pass")


def _publish(made: str, main: str, target: tags.Assignment, commits: list[Merged], passed: bool) -> None:
    head = _push(made)
    title = f"Roll back to {target.version}"
    if not os.environ.get("GITHUB_TOKEN"):
        print(f"Pushed {made}. Open its pull request, {title!r}: without GITHUB_TOKEN that is left to you.")
        return
    github = GitHub.from_environment()
    report = (REPORT / "review.md").read_text(encoding="utf-8")
    pull = next(iter(github.open_pulls(made)), None)
    if pull is None:
        listed = "\n".join(f"- {commit.sha}" for commit in commits)
        body = (
            f"Brings release `{target.release}` ({target.version}) back, which was in production as {target.tag}. "
            f"Reverts, the newest first:\n\n{listed}\n\nMerging it deploys the image that still exists: "
            "nothing is trained and nothing is built."
        )
        pull = github.create_pull(title, made, "main", body)
    # What a bot's token pushes starts no workflow by itself.
    checks.put(github, made, head, "pass" if passed else "fail")
    comment.post(github, pull["number"], head, report, run_url())
    print(f"{title}: pull request {pull['number']} ({pull.get('html_url', '')})")


def _push(made: str) -> str:
    """Push the branch; one that an earlier run pushed with the same tree stays, and its commit is returned.

    Raises:
        Unreachable: if origin cannot be asked, or does not take it.
    """
    ref = f"refs/heads/{made}"
    there = origin.tip(ref)
    if there is not None:
        origin.fetch(there)
        if git("rev-parse", f"{there}^{{tree}}") == git("rev-parse", "HEAD^{tree}"):
            return there
    try:
        lease = f"--force-with-lease={ref}:{there or ''}"
        origin.call("push", "--quiet", lease, "origin", f"HEAD:{ref}")
    except subprocess.CalledProcessError as error:
        raise Unreachable(
            f"{made} cannot be pushed: {(error.stderr or '').strip()}", "Mend the rights of the token, run again."
        ) from error
    return str(commit_of("HEAD"))
