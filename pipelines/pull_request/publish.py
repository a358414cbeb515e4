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
    """

    branch: str
    commit: str
    title: str
    body: str
    report: Path
    passed: bool


def publish_proposal(proposal: Proposal) -> None:
    """Push the branch, and open or update its pull request with check and comment; without a token, only push.

    Raises:
        Unreachable: if origin or GitHub does not respond, or origin does not accept the branch.
        Refused: if workflows may not open pull requests.
    """
    branch, title = proposal.branch, proposal.title
    head = _push_branch(branch, proposal.commit)
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


def _push_branch(branch: str, commit: str) -> str:
    """Push a commit as a branch and return it; if an earlier run pushed the same tree, return that commit instead.

    Raises:
        Unreachable: if origin does not respond, or does not accept the branch.
    """
    ref = f"refs/heads/{branch}"
    pushed = origin.read_ref(ref)
    if pushed is not None:
        origin.fetch(pushed)
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
