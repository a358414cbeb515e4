"""The next step of a rollout in git: a larger share, promotion, or the end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pipelines.cli.errors import InputError, MainlineError, Refused
from pipelines.cli.verbs import run_verb
from pipelines.config.params import Params
from pipelines.deployment.host import Host
from pipelines.model.bounded_loss import LOSSES
from pipelines.repository import push_tags, tags
from pipelines.repository.tags import Assignment
from pipelines.rollout.decide import AHEAD, Decision, decide
from pipelines.rollout.follow_up import follow_up
from pipelines.rollout.judge import alpha_of_test
from pipelines.rollout.logged import LoggedRollout, Step
from pipelines.rollout.losses import Difference
from pipelines.rollout.records import Records
from pipelines.tables.locations import prediction_log

_UNSETTLED = timedelta(days=1)  # after a tag, in which each run reconciles: the one that pushed it may have been killed


def advance(params: Params) -> int:
    """Do what the records of the running canary call for; a rerun after a kill ends the same way.

    Returns:
        0, or 1 if main still holds a release whose canary was aborted, or the code of a `reconcile` that failed.

    Raises:
        InputError: if a canary runs and params.yaml has no section `rollout`.
    """
    tags.fetch_tags(params.model_name)
    canary = tags.find_canary(params.model_name)
    if canary is None:
        print("No rollout is under way.")
        code = _finish(params.model_name)
        return follow_up(params.model_name) or code
    decision = _decide(params, canary)
    print(f"{canary.version} has {canary.annotation.weight} % of the requests: {decision.why}")
    if decision.action == "wait":
        print("Waiting: nothing changes.")
        return _finish(params.model_name)
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
    """End the canary in git and on this host, then open the issue and the pull request of the revert.

    Returns:
        1 while main holds the aborted release, else the code of `reconcile`.

    Raises:
        InputError: if no canary runs.
    """
    tags.fetch_tags(model_name)
    canary = tags.find_canary(model_name)
    if canary is None:
        raise InputError("no rollout is under way", "See `python -m pipelines release status`.")
    ended = _assign(canary, tags.CANARY_END, why=why)
    print(f"{ended.tag} ends {canary.version}.")
    code = run_verb("release", "reconcile").returncode
    if code:
        print(f"{canary.version} may still have requests: run `make reconcile`.")
    return follow_up(model_name) or code


def _finish(model_name: str) -> int:
    """Do what a run that was killed after its tag did not do; return the code of `reconcile`."""
    stages = (tags.CANARY, tags.CANARY_END, tags.PRODUCTION)
    newest = [
        max((item.assigned_at for item in tags.list_assignments(model_name, stage)), default=None) for stage in stages
    ]
    if newest[0] is None or datetime.now(UTC) - max(filter(None, newest)) > _UNSETTLED:
        return 0
    return run_verb("release", "reconcile").returncode


def _decide(params: Params, canary: Assignment) -> Decision:
    if params.rollout is None:
        raise InputError(
            f"{canary.version} is a canary, and params.yaml has no section `rollout`",
            "Restore the section, or end the canary: python -m pipelines rollout --abort WHY",
        )
    now, steps = datetime.now(UTC), _list_steps(params.model_name, canary)
    began, step = steps[0].start, replace(steps[-1], end=now)
    log, labels = prediction_log(), params.monitor.labels
    is_logged_only = isinstance(params.serving.deploy, tuple)
    if log is None and (is_logged_only or params.rollout.decide_on):
        raise InputError(
            "PREDICTION_LOG is not set, and this rollout is judged by the prediction log",
            "Set it to the folder or URL where the service logs: docs/rollout.md.",
        )
    if params.serving.is_pulled and "://" not in (log or ""):
        raise InputError(
            f"PREDICTION_LOG is {log or 'not set'}, so what the hosts report of {canary.version} cannot be read",
            "Set it to a URL, on the hosts and where this runs: docs/rollout.md.",
        )
    logged = _open_log(params, log, canary) if log and (is_logged_only or labels) else None
    if is_logged_only and logged:
        records = [logged.report(step, params.rollout)]
    else:
        stored = Records(Host.from_params(params)).read_all(canary.version, step.percent)
        records = [record for record in stored if record.tag == canary.tag]  # not of an earlier try
    compared: list[Difference | None] = []
    unknown = None
    if labels and logged and not any(record.state == "worse" for record in records):
        alpha, loss = alpha_of_test(len(params.rollout.steps)), params.rollout.decide_on or LOSSES[params.task][0]
        delay = timedelta(days=params.table.label_delay_days)
        try:
            compared = [logged.compare(item, labels, loss, now, alpha, delay) for item in (*steps[:-1], step)]
        except MainlineError as error:  # a canary must also end without labels
            unknown = f"its labels are not known: {error}: {error.remedy}"
    if step.start - now > AHEAD:
        unknown = (
            f"{canary.tag} is dated {step.start:%Y-%m-%d %H:%M} UTC, ahead of the clock of this machine: correct the "
            f"clock, or delete the tags of {params.model_name} that are dated in the future"
        )
    return decide(params.rollout, step.percent, began, records, [item for item in compared if item], now, unknown)


def _list_steps(model_name: str, canary: Assignment) -> list[Step]:
    """Return the steps of a canary so far, with the shares that its tags gave it; the last has no end yet."""
    ends = [end.assigned_at for end in tags.list_assignments(model_name, tags.CANARY_END)]
    own = [
        item
        for item in tags.list_assignments(model_name, tags.CANARY)
        if item.release_id == canary.release_id and not any(item.assigned_at < end for end in ends)
    ]
    times = [item.assigned_at for item in own]
    return [
        Step(item.annotation.weight or 0, start, end)
        for item, start, end in zip(own, times, [*times[1:], times[-1]], strict=True)
    ]


def _open_log(params: Params, log: str, canary: Assignment) -> LoggedRollout | None:
    """Return the log of both arms; None if a version has no tag, which nothing but a person removes."""
    newest = tags.find_newest_assignment(params.model_name)
    versions = [tags.find_version(params.model_name, item.release_id) for item in (newest, canary) if item]
    production, challenger = versions if len(versions) == 2 else (None, None)
    return LoggedRollout(log, production, challenger) if production and challenger else None


@push_tags.retry_if_taken
def _assign(canary: Assignment, stage: str, weight: int | None = None, why: str | None = None) -> Assignment:
    """Push the tag of a stage for the canary; Refused if it is no longer the canary that runs."""
    running = tags.find_canary(canary.tag.partition("#")[0])
    if running is None or running.tag != canary.tag:
        raise Refused(f"{canary.version} is no longer the canary of {canary.tag}", "Another run changed it: run again.")
    return push_tags.assign_again(canary, stage, weight, why)
