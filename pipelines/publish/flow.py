"""Publish a review: of a branch here (commit, check, comment), or of a fork or Dependabot (only the comment)."""

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
_SEE_JOB = "See the log of the review's job."
# Its branches are in this repository, but its reviews run without write permissions: review.yml.
DEPENDABOT = "dependabot[bot]"
FORK_NOTICE = "This report was made by the code of the pull request, which comes from a fork; it is not verified."
_VERDICTS = {"success": "pass", "failure": "fail"}  # outcome of the step `review` -> verdict in its report
# Also as a character reference: GitHub looks for mentions in the rendered text.
_AT = re.compile(r"@|&(?:#0*64(?!\d)|#x0*40(?![\da-f])|commat);?", re.IGNORECASE)


def publish(folder: Path, outcome: str) -> int:
    """Publish the review of a branch of this repository.

    Every step can be repeated: an existing commit is used, an existing check not created again, the comment updated.

    Args:
        folder: the artifact of the job `review`, unpacked.
        outcome: how that job's step `review` ended, by GitHub: "success", "failure", or else without a verdict.

    Raises:
        Refused: if the pull request comes from a fork, the artifact is invalid, or its verdict is not that of the step.
    """
    event, github = read_event(PullRequestEvent), GitHub.from_environment()
    review = review_artifact.read_folder(folder)
    if _VERDICTS.get(outcome) != review.verdict:
        raise Refused(
            f"review.json says {review.verdict!r}, but the step `review` ended with {outcome!r}",
            "The report is not that of this review: somebody committed it, or the review ended early. " + _SEE_JOB,
        )
    pull = github.pull(event.number)
    if pull["state"] != "open":
        return _skip(f"pull request {event.number} is {pull['state']} meanwhile")
    if event.head_repository != event.repository:
        raise Refused(f"pull request {event.number} comes from a fork", "report-fork.yml posts its report.")
    try:
        head = push_bot_commit(event.branch, event.sha, review.generated)
    except Superseded as reason:
        return _skip(str(reason))
    if pull["head"]["sha"] not in (event.sha, head):
        return _skip(f"pull request {event.number} moved to {pull['head']['sha'][:12]} meanwhile")
    if head != event.sha:
        print(f"committed {head[:12]} to {event.branch!r}")
        ensure_checks(github, event.branch, head, review.verdict)
    return _comment(github, event.number, head, review, review.report, run_url())


def publish_fork() -> int:
    """Post the report of a fork's or Dependabot's review.

    The artifact is untrusted. Which commit and repository it belongs to is taken from GitHub.

    Raises:
        Refused: if the artifact does not belong to a pull request of that commit and repository.
    """
    event, github = read_event(WorkflowRunEvent), GitHub.from_environment()
    if event.run_event != "pull_request":
        return _skip("the run does not belong to a pull request")
    if event.head_repository is None:
        return _skip("the fork was deleted")
    artifact = next((artifact for artifact in github.artifacts(event.run) if artifact["name"] == ARTIFACT), None)
    if artifact is None:
        raise Refused(f"run {event.run} has no artifact {ARTIFACT!r}", _SEE_JOB)
    if artifact["size_in_bytes"] > review_artifact.LARGEST_ZIP:
        size = f"{artifact['size_in_bytes']:,} bytes"
        raise Refused(f"the artifact has {size}, more than {review_artifact.LARGEST_ZIP:,}", _SEE_JOB)
    review = review_artifact.read_zip(github.download_artifact(artifact["id"], review_artifact.LARGEST_ZIP))
    number = review.pull_request
    if number is None:
        raise Refused("the artifact names no pull request", _SEE_JOB)
    pull = github.pull(number)
    if (pull["head"]["repo"] or {}).get("full_name") != event.head_repository:
        raise Refused(f"pull request {number} does not come from {event.head_repository}", _SEE_JOB)
    is_fork = event.head_repository != event.repository
    if not is_fork and pull["user"]["login"] != DEPENDABOT:
        return _skip(f"review.yml publishes pull request {number} itself")
    if pull["state"] != "open" or pull["head"]["sha"] != event.sha:
        return _skip(f"pull request {number} is closed or has a newer commit")
    report = _AT.sub("\\g<0>\u200b", review.report)  # after a zero-width space, a name is no mention
    if is_fork:
        report = f"{FORK_NOTICE}\n\n{report}"
    return _comment(github, number, event.sha, review, report, run_url(event.run))


def _comment(github: GitHub, number: int, sha: str, review: review_artifact.Review, report: str, link: str) -> int:
    route = post_comment(github, number, sha, report, link)
    print(f"commented on pull request {number} with {route}: {review.verdict}")
    return 0


def _skip(reason: str) -> int:
    print(f"Nothing to publish: {reason}.")
    return 0
