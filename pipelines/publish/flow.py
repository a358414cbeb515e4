"""Publish a review: of our branch (commit, check, comment), or of a fork or Dependabot (the comment alone)."""

from __future__ import annotations

from pathlib import Path

from pipelines.cli.errors import Refused
from pipelines.github import checks, comment
from pipelines.github.client import GitHub, run_url
from pipelines.publish import commit, event, review_artifact

ARTIFACT = "review"
# On a branch of the repository, and yet reviewed without rights: review.yml.
DEPENDABOT = "dependabot[bot]"


def publish(folder: Path) -> int:
    """Publish the review of a branch of this repository.

    Every step may be repeated: the commit is found again, the check is not put twice, the comment is updated.
    """
    happened = event.read(event.PullRequestEvent)
    pull, github = happened.pull_request, GitHub.from_environment()
    found = review_artifact.from_folder(folder)
    now = github.pull(pull.number)
    if now["state"] != "open":
        return _nothing(f"pull request {pull.number} is {now['state']} meanwhile")
    if pull.head.repo is None or pull.head.repo.full_name != happened.repository.full_name:
        raise Refused(f"pull request {pull.number} comes from a fork", "report-fork.yml posts its report.")
    try:
        carried = commit.push(pull.head.ref, pull.head.sha, found.generated)
    except commit.Superseded as gone:
        return _nothing(str(gone))
    if now["head"]["sha"] not in (pull.head.sha, carried):
        return _nothing(f"pull request {pull.number} moved to {now['head']['sha'][:12]} meanwhile")
    if carried != pull.head.sha:
        print(f"committed {carried[:12]} to {pull.head.ref!r}")
        checks.put(github, pull.head.ref, carried, found.verdict)
    way = comment.post(github, pull.number, carried, found.report, run_url())
    print(f"commented on pull request {pull.number} by {way}: {found.verdict}")
    return 0


def publish_fork() -> int:
    """Post the report of a fork's or Dependabot's review. The artifact is their word, who and what it is for GitHub's.

    Raises:
        Refused: if the artifact does not belong to a pull request of that commit and repository.
    """
    happened = event.read(event.WorkflowRunEvent)
    run, github = happened.workflow_run, GitHub.from_environment()
    if run.event != "pull_request":
        return _nothing("the run is not one of a pull request")
    artifact = next((a for a in github.artifacts(run.id) if a["name"] == ARTIFACT), None)
    if artifact is None:
        raise Refused(f"run {run.id} has no artifact {ARTIFACT!r}", "Look into the review's job.")
    if artifact["size_in_bytes"] > review_artifact.LARGEST_ZIP:
        raise Refused(f"the artifact has {artifact['size_in_bytes']:,} bytes", "It is not posted; look into the run.")
    found = review_artifact.from_zip(github.download_artifact(artifact["id"], review_artifact.LARGEST_ZIP))
    if found.number is None:
        raise Refused("the artifact names no pull request", "Look into the review's job.")
    now = github.pull(found.number)
    theirs = (now["head"]["repo"] or {}).get("full_name")
    if theirs != run.head_repository.full_name:
        raise Refused(f"pull request {found.number} is not of {run.head_repository.full_name}", "It is not posted.")
    if theirs == happened.repository.full_name and now["user"]["login"] != DEPENDABOT:
        return _nothing(f"review.yml publishes pull request {found.number} itself")
    if now["state"] != "open" or now["head"]["sha"] != run.head_sha:
        return _nothing(f"pull request {found.number} is closed or has moved on")
    way = comment.post(github, found.number, run.head_sha, found.report, run_url(run.id))
    print(f"commented on pull request {found.number} by {way}: {found.verdict}")
    return 0


def _nothing(why: str) -> int:
    print(f"Nothing to publish: {why}.")
    return 0
