"""The next step of a rollout in git: a larger share, promotion, or the end."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.verbs import run_verb
from pipelines.config.params import Params
from pipelines.deployment.host import Host
from pipelines.repository import push_tags, tags
from pipelines.repository.tags import Assignment
from pipelines.rollout.decide import Decision, decide
from pipelines.rollout.follow_up import follow_up
from pipelines.rollout.records import Records


def advance(params: Params) -> int:
    """Do what the records of the running canary call for; a rerun after a kill ends the same way.

    Returns:
        0, or 1 if main still holds a release whose canary was aborted.

    Raises:
        InputError: if a canary runs and params.yaml has no section `rollout`.
    """
    tags.fetch_tags(params.model_name)
    canary = tags.find_canary(params.model_name)
    if canary is None:
        print("No rollout is under way.")
        return follow_up(params.model_name)
    decision = _decide(params, canary)
    print(f"{canary.version} has {canary.annotation.weight} % of the requests: {decision.why}")
    if decision.action == "wait":
        print("Waiting: nothing changes.")
        return 0
    if decision.action == "abort":
        return abort(params.model_name, decision.why)
    if decision.action == "step":
        assigned = _assign(canary, tags.CANARY, weight=decision.percent)
        print(f"{assigned.tag}: {canary.version} gets {decision.percent} % of the requests.")
    else:
        assigned = _assign(canary, tags.PRODUCTION)
        print(f"{assigned.tag}: {canary.version} gets all requests.")
    return run_verb("release", "reconcile").returncode


def abort(model_name: str, why: str) -> int:
    """End the canary in git and on this host, then open the issue and the pull request of the revert; return 1.

    Raises:
        InputError: if no canary runs.
    """
    tags.fetch_tags(model_name)
    canary = tags.find_canary(model_name)
    if canary is None:
        raise InputError("no rollout is under way", "See `python -m pipelines release status`.")
    ended = _assign(canary, tags.CANARY_END, why=why)
    print(f"{ended.tag}: {canary.version} gets no more requests.")
    run_verb("release", "reconcile")
    return follow_up(model_name)


def _decide(params: Params, canary: Assignment) -> Decision:
    if params.rollout is None:
        raise InputError(
            f"{canary.version} is a canary, and params.yaml has no section `rollout`",
            "Restore the section, or end the canary: python -m pipelines rollout --abort WHY",
        )
    history = tags.list_assignments(params.model_name, tags.CANARY)
    first = next(item for item in history if item.main_commit == canary.main_commit)
    percent = canary.annotation.weight or 0
    records = Records(Host.from_params(params)).read_all(canary.version, percent)
    return decide(params.rollout, percent, first.assigned_at, records, datetime.now(UTC))


@push_tags.retry_if_taken
def _assign(canary: Assignment, stage: str, weight: int | None = None, why: str | None = None) -> Assignment:
    """Push the tag of a stage for the canary; Refused if it is no longer the canary that runs."""
    running = tags.find_canary(canary.tag.partition("#")[0])
    if running is None or running.tag != canary.tag:
        raise Refused(f"{canary.version} is no longer the canary of {canary.tag}", "Another run changed it: run again.")
    return push_tags.assign_again(canary, stage, weight, why)
