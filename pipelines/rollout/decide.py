"""What follows from the records of a canary's step: wait, a larger share, all requests, or the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pipelines.config.rollout import Rollout
from pipelines.rollout.losses import Difference
from pipelines.rollout.records import LOG, Record

FRESH = timedelta(minutes=5)
AHEAD = timedelta(hours=1)  # that the clock of the machine that tagged may be ahead


@dataclass(frozen=True)
class Decision:
    """What to do with a canary, and why; `percent` is the next share, for a step."""

    action: Literal["wait", "step", "promote", "abort"]
    why: str
    percent: int | None = None


def decide(
    rollout: Rollout,
    percent: int,
    began: datetime,
    records: Sequence[Record],
    differences: Sequence[Difference],
    now: datetime,
    unknown: str | None = None,
) -> Decision:
    """Decide about a canary with a share of `percent`.

    Args:
        began: when the canary got its first share.
        records: of this step, one a host.
        differences: of the losses of labelled rows, one a step so far.
        unknown: what else must be known before a step, in words; None if nothing is missing.
    """
    if worse := [record for record in records if record.state == "worse"]:
        return Decision("abort", "; ".join(f"{'; '.join(record.reasons)} ({_describe(record)})" for record in worse))
    if losing := [difference for difference in differences if difference.low > 0]:
        return Decision("abort", f"its predictions are worse: {losing[0]}")
    missing = unknown or _find_missing(rollout, records, now)
    if not missing and rollout.decide_on and not any(difference.high < 0 for difference in differences):
        missing = f"no evidence yet of a smaller loss: {'; '.join(map(str, differences)) or 'no labels'}"
    if missing and began - now > AHEAD:  # else its max_hours would never be over
        return Decision("abort", f"inconclusive: {missing}")
    if missing and now - began > timedelta(hours=rollout.max_hours):
        return Decision("abort", f"inconclusive after {rollout.max_hours:g} hours: {missing}")
    if missing:
        return Decision("wait", missing)
    why = "; ".join(f"within all limits ({_describe(record)})" for record in records)
    if rollout.decide_on:
        why += f"; its predictions are better: {differences[-1]}"
    larger = next((step for step in rollout.steps if step > percent), None)
    return Decision("step", why, larger) if larger else Decision("promote", why)


def _find_missing(rollout: Rollout, records: Sequence[Record], now: datetime) -> str | None:
    """Return what a decision still needs, or None."""
    if not records:
        return "no host has reported the canary yet"
    for record in records:
        if abs(now - record.updated) > FRESH:  # a watch that ended, or a clock that is wrong
            return f"{record.host} looked last at {record.updated:%Y-%m-%d %H:%M} UTC: run `make reconcile` there"
        if record.requests[1] < rollout.min_requests:
            return f"{record.host}: {record.requests[1]:,} of {rollout.min_requests:,} requests of the canary"
        if record.seconds < rollout.min_minutes * 60:
            return f"{record.host}: {record.seconds // 60:.0f} of {rollout.min_minutes} minutes"
        if record.state != "within":
            return f"{', '.join(record.reasons)} not yet within the limits with evidence ({_describe(record)})"
    return None


def _describe(record: Record) -> str:
    counts = record.evidence.counts
    if record.host == LOG:  # which has no errors
        return f"{LOG}: canary {record.requests[1]:,} requests, production {record.requests[0]:,} requests"
    production, canary = (
        f"{int(counts.errors[arm]):,} errors of {int(counts.requests[arm]):,} requests" for arm in (0, 1)
    )
    return f"{record.host}: canary {canary}, production {production}"
