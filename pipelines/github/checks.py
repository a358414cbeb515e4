"""The required checks of a commit that a workflow pushed with GitHub's own token.

For such a push GitHub makes at most runs that wait until a person approves them.
"""

import os
from typing import Literal

from pipelines.github.client import GitHub, run_url

REVIEW = "review"
TESTS_WORKFLOW, TESTS = "test.yml", "test"
ACTIONS = "github-actions"  # the app of workflows


def ensure_checks(github: GitHub, branch: str, sha: str, verdict: Literal["pass", "fail"]) -> None:
    """Create the check of a review on a commit and start its tests, each unless that was done before.

    With BOT_TOKEN, the token of an app that pushed the commit, the workflows run for it as for any other.

    Args:
        branch: the branch whose tip the commit is.
    """
    if os.environ.get("BOT_TOKEN"):
        print(f"the workflows run for {sha[:12]} and set its checks")
        return
    conclusion = "success" if verdict == "pass" else "failure"
    # The rulesets require checks of GitHub Actions: a check `test` of another app counts for nothing.
    ours = [check for check in github.checks(sha) if (check.get("app") or {}).get("slug", ACTIONS) == ACTIONS]
    existing = {(check["name"], check["conclusion"] or check["status"]) for check in ours}
    if (REVIEW, conclusion) not in existing:
        title = "The review passed" if verdict == "pass" else "The review failed"
        github.create_check(sha, REVIEW, conclusion, title, f"[Log and report of the review]({run_url()})")
    print(f"check {REVIEW} on {sha[:12]}: {conclusion}")
    # Other tests may wait for an approval. If they are only queued, this start replaces them.
    if not {(TESTS, state) for state in ("in_progress", "success", "failure")} & existing:
        github.dispatch(TESTS_WORKFLOW, branch)
        print(f"started {TESTS_WORKFLOW} on {branch!r}")
