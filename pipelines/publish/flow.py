"""Publish a review: of a branch here (commit, check, comment), or of a fork or Dependabot (only the comment)."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.cli.errors import Refused
from pipelines.github.checks import ensure_checks
from pipelines.github.client import GitHub, run_url
from pipelines.github.comment import post_comment
from pipelines.publish import review_artifact
from pipelines.publish.bot_commit import Superseded, push_bot_commit
from pipelines.publish.event import PullRequestEvent, WorkflowRunEvent, read_event

ARTIFACT = "review"
# Its branches are in this repository, but its reviews run without write permissions: review.yml.
DEPENDABOT = "dependabot[bot]"
FORK_NOTICE = "This report was made by the code of the pull request, which comes from a fork; it is not verified."
# Also as a character reference: GitHub looks for mentions in the rendered text.
_AT = re.compile(r"@|&(?:#0*64(?!\d)|#x0*40(?![\da-f])|commat);?", re.IGNORECASE)


def publish(folder: Path) -> int:
    """Publish the review of a branch of this repository.

    Every step can be repeated: the commit is found again, the check is not created twice, the comment is updated.
    """
    event = read_event(PullRequestEvent)
    pull, github = event.pull_request, GitHub.from_environment()
    review = review_artifact.read_folder(folder)
    current = github.pull(pull.number)
    if current["state"] != "open":
        return _skip(f"pull request {pull.number} is {current['state']} meanwhile")
    if pull.head.repo is None or pull.head.repo.full_name != event.repository.full_name:
        raise Refused(f"pull request {pull.number} comes from a fork", "report-fork.yml posts its report.")
    try:
        head = push_bot_commit(pull.head.ref, pull.head.sha, review.generated)
    except Superseded as reason:
        return _skip(str(reason))
    if current["head"]["sha"] not in (pull.head.sha, head):
        return _skip(f"pull request {pull.number} moved to {current['head']['sha'][:12]} meanwhile")
    if head != pull.head.sha:
        print(f"committed {head[:12]} to {pull.head.ref!r}")
        ensure_checks(github, pull.head.ref, head, review.verdict)
    route = post_comment(github, pull.number, head, review.report, run_url())
    print(f"commented on pull request {pull.number} with {route}: {review.verdict}")
    return 0


def publish_fork() -> int:
    """Post the report of a fork's or Dependabot's review.

    The artifact is untrusted. Which commit and repository it belongs to is taken from GitHub.

    Raises:
        Refused: if the artifact does not belong to a pull request of that commit and repository.
    """
    event = read_event(WorkflowRunEvent)
    run, github = event.workflow_run, GitHub.from_environment()
    if run.event != "pull_request":
        return _skip("the run does not belong to a pull request")
    artifact = next((artifact for artifact in github.artifacts(run.id) if artifact["name"] == ARTIFACT), None)
    if artifact is None:
        raise Refused(f"run {run.id} has no artifact {ARTIFACT!r}", "See the log of the review's job.")
    if artifact["size_in_bytes"] > review_artifact.LARGEST_ZIP:
        size = f"{artifact['size_in_bytes']:,} bytes"
        raise Refused(f"the artifact has {size}, more than {review_artifact.LARGEST_ZIP:,}", "See the review's job.")
    review = review_artifact.read_zip(github.download_artifact(artifact["id"], review_artifact.LARGEST_ZIP))
    if review.pull_request is None:
        raise Refused("the artifact names no pull request", "See the log of the review's job.")
    pull = github.pull(review.pull_request)
    head_repository = (pull["head"]["repo"] or {}).get("full_name")
    if head_repository != run.head_repository.full_name:
        raise Refused(
            f"pull request {review.pull_request} is not of {run.head_repository.full_name}", "See the review's job."
        )
    if head_repository == event.repository.full_name and pull["user"]["login"] != DEPENDABOT:
        return _skip(f"review.yml publishes pull request {review.pull_request} itself")
    if pull["state"] != "open" or pull["head"]["sha"] != run.head_sha:
        return _skip(f"pull request {review.pull_request} is closed or has a newer commit")
    report = _AT.sub("\\g<0>\u200b", review.report)  # after a zero-width space, a name is no mention
    if head_repository != event.repository.full_name:
        report = f"{FORK_NOTICE}\n\n{report}"
    route = post_comment(github, review.pull_request, run.head_sha, report, run_url(run.id))
    print(f"commented on pull request {review.pull_request} with {route}: {review.verdict}")
    return 0


def _skip(reason: str) -> int:
    print(f"Nothing to publish: {reason}.")
    return 0
