"""Review a branch in a worktree, and publish it: push it, set its checks, open or update its pull request."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from pipelines.cli.errors import AlreadyPrinted, Refused, Unreachable
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.config.paths import REVIEW
from pipelines.config.read import PATH
from pipelines.github.checks import ensure_checks
from pipelines.github.client import GitHub, run_url
from pipelines.github.comment import post_comment
from pipelines.github.transport import Json
from pipelines.repository import origin, tags
from pipelines.repository.git import git, has_origin, object_at, text_at
from pipelines.repository.leaves import leaves
from pipelines.repository.tags import Assignment

REPRODUCED = "Reproduce the pipeline"  # title of the commit of what a review reproduced
LOCK = "requirements/dev.txt"  # of the environment


def fetch_state(progress: Progress) -> tuple[str, list[Assignment]]:
    """Fetch main and the tags; return main's commit, and the assignments to production, the oldest first.

    The model is that of main: the work tree may be another branch's, or half edited.
    """
    with progress.step("Fetching main and the tags"):
        main = "refs/remotes/origin/main" if origin.main() else "refs/heads/main"
        model_name = json.loads(dict(leaves(text_at(main, str(PATH)))).get("model_name", "null"))
        tags.fetch_tags(model_name)  # with main, which has all that was released by then
        return git("rev-parse", main), tags.list_assignments(model_name)


def review_worktree(tree: Path, base: str) -> bool:
    """Review a worktree against a commit, commit what that reproduced, and copy the report; return whether it passed.

    Raises:
        AlreadyPrinted: if the review could not be made.
        Refused: if it made no report.
    """
    if object_at(git("rev-parse", "HEAD", cwd=tree), LOCK) != object_at("HEAD", LOCK):
        print(f"{LOCK} of the branch is not that of this checkout, in whose environment the review runs.")
    code = run_verb("review", "--base", base, cwd=tree).returncode
    if not (tree / REVIEW / "review.json").is_file():
        if code > 1:
            raise AlreadyPrinted(code)
        raise Refused(f"the review ended with {code} and made no report", "Fix the error above, and run this again.")
    commit(tree, REPRODUCED, "dvc.lock", "reports")
    shutil.rmtree(REVIEW, ignore_errors=True)  # an earlier review's key would make this report its own
    shutil.copytree(tree / REVIEW, REVIEW, dirs_exist_ok=True)
    return code == 0


def commit(tree: Path, title: str, *paths: str) -> None:
    """Commit the changes of some paths in a worktree, if there are any."""
    git("add", "--all", "--", *paths, cwd=tree)
    if git("diff", "--cached", "--name-only", cwd=tree):
        hooks = ("-c", "core.hooksPath=/dev/null")
        git(*hooks, "commit", "--quiet", "--no-verify", "-m", title, cwd=tree, env=origin.author())


def publish(branch: str, commit: str, title: str, body: str, passed: bool, own: tuple[str, ...]) -> int:
    """Push a reviewed branch, and open or update its pull request with check and comment; without a token, only push.

    Args:
        own: how the titles of commits begin that the verb makes, and may replace.

    Returns:
        0 if the review passed, else 1; the pull request exists in both cases.

    Raises:
        Unreachable: if origin or GitHub does not respond, or origin does not accept the branch.
        Refused: if the branch holds commits of others or, without an origin, is checked out; or if workflows may not
            open pull requests.
    """
    code = 0 if passed else 1
    if not has_origin():
        try:
            git("branch", "--force", branch, commit)
        except subprocess.CalledProcessError as error:
            raise Refused(
                error.stderr.strip().removeprefix("fatal: "), "Check out another branch, and run this again."
            ) from error
        print(f"Branch {branch} is ready; there is no origin to push it to.")
        return code
    head = _push_branch(branch, commit, own)
    if not os.environ.get("GITHUB_TOKEN"):
        print(f"Pushed {branch}. GITHUB_TOKEN is not set: open the pull request {title!r} yourself.")
        return code
    github = GitHub.from_environment()
    # A push with a bot's token starts no workflow.
    ensure_checks(github, branch, head, "pass" if passed else "fail")
    pull = _ensure_pull(github, branch, title, body)
    post_comment(github, pull["number"], head, (REVIEW / "review.md").read_text(encoding="utf-8"), run_url())
    print(f"{title}: pull request {pull['number']} ({pull.get('html_url', '')})")
    return code


def _ensure_pull(github: GitHub, branch: str, title: str, body: str) -> Json:
    pull = next(iter(github.open_pulls(branch)), None)
    if pull is not None:
        if (pull["title"], (pull["body"] or "").split()) != (title, body.split()):
            github.update_issue(pull["number"], title=title, body=body)
        return pull
    try:
        return github.create_pull(title, branch, "main", body)
    except Refused as error:
        # By default, workflows may not open pull requests.
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        page = f"{server}/{github.repository}/compare/main...{branch}"
        raise Refused(
            f"{branch} is pushed and reviewed, but its pull request is not open: {error}",
            f"Open it: {page}?expand=1&title={quote(title)}",
        ) from error


def read_own_branch(branch: str, own: tuple[str, ...]) -> str | None:
    """Return the commit of a branch at origin, which is fetched; None without one.

    Raises:
        Refused: if it holds commits whose titles begin in another way than those in `own`.
        Unreachable: if origin does not respond.
    """
    pushed = origin.read_ref(f"refs/heads/{branch}")
    if pushed is None:
        return None
    origin.fetch(pushed)
    titles = git("log", "--first-parent", "--format=%s", f"origin/main..{pushed}").splitlines()
    if foreign := [title for title in titles if not title.startswith(own)]:
        raise Refused(
            f"the branch {branch} holds other commits: {foreign[0]}",
            f"Merge its pull request, or move the commits to another branch and delete {branch}.",
        )
    return pushed


def _push_branch(branch: str, commit: str, own: tuple[str, ...]) -> str:
    """Push a commit as a branch and return it; if an earlier run pushed the same tree, return that commit instead.

    Raises:
        Refused: if the branch holds commits of others.
        Unreachable: if origin does not respond, or does not accept the branch.
    """
    ref = f"refs/heads/{branch}"
    pushed = read_own_branch(branch, own)
    if pushed is not None:
        same_tree = git("rev-parse", f"{pushed}^{{tree}}") == git("rev-parse", f"{commit}^{{tree}}")
        if same_tree and git("merge-base", "origin/main", pushed) == git("merge-base", "origin/main", commit):
            return pushed
    try:
        lease = f"--force-with-lease={ref}:{pushed or ''}"
        origin.run_git("push", "--quiet", lease, "origin", f"{commit}:{ref}")
    except subprocess.CalledProcessError as error:
        raise Unreachable(
            f"{branch} cannot be pushed: {(error.stderr or '').strip()}",
            "Give the token the permission to push it, then run again.",
        ) from error
    return commit
