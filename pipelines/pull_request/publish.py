"""Publish a reviewed branch: push it, set its checks, open or update its pull request, post the report."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipelines.cli.errors import Refused, Unreachable
from pipelines.github.checks import ensure_checks
from pipelines.github.client import GitHub, run_url
from pipelines.github.comment import post_comment
from pipelines.github.transport import Json
from pipelines.repository import origin
from pipelines.repository.git import git


@dataclass(frozen=True)
class Proposal:
    """A reviewed branch and the text of its pull request.

    Attributes:
        branch: its name on origin.
        commit: its commit, in this clone.
        report: the file of the review's report, in Markdown; read only for a pull request.
        passed: whether the review passed.
        own: how the titles of commits begin that the verb makes, and may replace.
    """

    branch: str
    commit: str
    title: str
    body: str
    report: Path
    passed: bool
    own: tuple[str, ...]


def publish_proposal(proposal: Proposal) -> None:
    """Push the branch, and open or update its pull request with check and comment; without a token, only push.

    Raises:
        Unreachable: if origin or GitHub does not respond, or origin does not accept the branch.
        Refused: if the branch holds commits of others, or workflows may not open pull requests.
    """
    branch, title = proposal.branch, proposal.title
    head = _push_branch(branch, proposal.commit, proposal.own)
    if not os.environ.get("GITHUB_TOKEN"):
        print(f"Pushed {branch}. GITHUB_TOKEN is not set: open the pull request {title!r} yourself.")
        return
    github = GitHub.from_environment()
    # A push with a bot's token starts no workflow.
    ensure_checks(github, branch, head, "pass" if proposal.passed else "fail")
    pull = _ensure_pull(github, proposal)
    post_comment(github, pull["number"], head, proposal.report.read_text(encoding="utf-8"), run_url())
    print(f"{title}: pull request {pull['number']} ({pull.get('html_url', '')})")


def _ensure_pull(github: GitHub, proposal: Proposal) -> Json:
    branch, title = proposal.branch, proposal.title
    pull = next(iter(github.open_pulls(branch)), None)
    if pull is not None:
        if (pull["title"], (pull["body"] or "").split()) != (title, proposal.body.split()):
            github.update_issue(pull["number"], title=title, body=proposal.body)
        return pull
    try:
        return github.create_pull(title, branch, "main", proposal.body)
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
