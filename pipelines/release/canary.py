"""The canary as a release sees it: which release begins as one, and the tags that end one."""

from pipelines.release.main_history import is_ancestor
from pipelines.release.target_commit import TargetCommit
from pipelines.repository import push_tags, tags
from pipelines.repository.tags import Assignment


def first_share(target: TargetCommit) -> int | None:
    """Return the share in percent with which a release begins; None if it goes to everybody at once.

    The first release does, and a release id that ever was in production: a revert must not wait.
    """
    history = tags.list_assignments(target.model_name)
    known = {assignment.release_id for assignment in history}
    if target.params.rollout is None or not history or target.release_id in known:
        return None
    return target.params.rollout.steps[0]


def find_abort(target: TargetCommit) -> Assignment | None:
    """Return the end of this release id's last canary, if that was aborted; the next run must not begin it again."""
    canaries = tags.list_assignments(target.model_name, tags.CANARY)
    ends = tags.list_assignments(target.model_name, tags.CANARY_END)
    of_target = [item for item in (*canaries, *ends) if item.release_id == target.release_id]
    newest = max(of_target, key=lambda item: (item.assigned_at, item.counter), default=None)
    return newest if newest in ends else None


def end_if_reverted(target: TargetCommit) -> None:
    """End the canary that runs, if it comes from a commit before the target, which has the release in production."""
    canary = tags.find_canary(target.model_name)
    if canary and canary.main_commit != target.commit and is_ancestor(canary.main_commit, target.commit):
        _end(canary, f"main went back to the release in production with {target.commit[:12]}")


def end_if_passed(model_name: str) -> None:
    """Push the tag that ends a canary which production has passed, so that GTO shows no canary either."""
    stages = (tags.CANARY, tags.CANARY_END)
    canary, end = (next(reversed(tags.list_assignments(model_name, stage)), None) for stage in stages)
    newest = tags.find_newest_assignment(model_name)
    if canary is None or newest is None or tags.find_canary(model_name):
        return
    if end and (end.assigned_at, end.counter) > (canary.assigned_at, canary.counter):
        return
    is_promoted = newest.release_id == canary.release_id
    _end(canary, "promoted" if is_promoted else f"{newest.tag} put {newest.version} into production")


@push_tags.retry_if_taken
def _end(canary: Assignment, why: str) -> None:
    push_tags.assign_again(canary, tags.CANARY_END, why=why)
