"""Start a release that GitHub skipped: `[skip ci]` in a pull request's title skips the workflows of its merge."""

from pipelines.github.client import GitHub
from pipelines.release.target_commit import read_target_commit
from pipelines.repository import tags

WORKFLOW = "release.yml"


def start_missed_release(revision: str) -> int:
    """Start release.yml unless production has this release of main, or release.yml ran for this commit.

    A release that failed is not started again: its run is what people look at.
    """
    target = read_target_commit(revision)
    tags.fetch_tags(target.model_name)
    newest = tags.find_newest_assignment(target.model_name)
    if newest and newest.release_id == target.release_id:
        print(f"Nothing was missed: {newest.version} ({newest.release_id}) is in production.")
        return 0
    canary = tags.find_canary(target.model_name)
    if canary and canary.release_id == target.release_id:
        print(f"Nothing was missed: {canary.version} ({canary.release_id}) is a canary.")
        return 0
    github = GitHub.from_environment()
    if next(github.workflow_runs(WORKFLOW, target.commit), None):
        print(f"{target.release_id} is not in production, but {WORKFLOW} ran for {target.commit[:12]}: see its log.")
        return 0
    github.dispatch(WORKFLOW, "main")
    print(f"Started {WORKFLOW}: GitHub skipped it for {target.commit[:12]} ({target.release_id}).")
    return 0
