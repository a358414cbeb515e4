"""The required checks on a commit that a workflow pushed, for which GitHub starts no other workflow by itself."""

from __future__ import annotations

from typing import Literal

from pipelines.github.client import GitHub, run_url

REVIEW = "review"
TESTS_WORKFLOW, TESTS = "test.yml", "test"


def put(github: GitHub, branch: str, sha: str, verdict: Literal["pass", "fail"]) -> None:
    """Put the check of a review on a commit, and start the tests for it; neither twice.

    Args:
        branch: where the commit is the tip.

    Raises:
        Unreachable, Refused, InputError: as GitHub answers.
    """
    conclusion = "success" if verdict == "pass" else "failure"
    known = {(check["name"], check["conclusion"]) for check in github.checks(sha)}
    if (REVIEW, conclusion) not in known:
        title = "The review passes" if verdict == "pass" else "The review fails"
        github.create_check(sha, REVIEW, conclusion, title, f"[What was run and found]({run_url()})")
    print(f"check {REVIEW} on {sha[:12]}: {conclusion}")
    if TESTS not in {name for name, _ in known}:
        github.dispatch(TESTS_WORKFLOW, branch)
        print(f"started {TESTS_WORKFLOW} on {branch!r}")
