"""The required checks of a commit that a workflow pushed: GitHub starts no workflow for such a push."""

from __future__ import annotations

from typing import Literal

from pipelines.github.client import GitHub, run_url

REVIEW = "review"
TESTS_WORKFLOW, TESTS = "test.yml", "test"


def ensure_checks(github: GitHub, branch: str, sha: str, verdict: Literal["pass", "fail"]) -> None:
    """Create the check of a review on a commit and start its tests, each unless that was done before.

    Args:
        branch: the branch whose tip the commit is.
    """
    conclusion = "success" if verdict == "pass" else "failure"
    existing = {(check["name"], check["conclusion"]) for check in github.checks(sha)}
    if (REVIEW, conclusion) not in existing:
        title = "The review passed" if verdict == "pass" else "The review failed"
        github.create_check(sha, REVIEW, conclusion, title, f"[Log and report of the review]({run_url()})")
    print(f"check {REVIEW} on {sha[:12]}: {conclusion}")
    if TESTS not in {name for name, _ in existing}:
        github.dispatch(TESTS_WORKFLOW, branch)
        print(f"started {TESTS_WORKFLOW} on {branch!r}")
