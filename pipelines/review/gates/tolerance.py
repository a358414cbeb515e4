"""Judge a difference by its confidence interval and a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.config.gates import Tolerance
from pipelines.metrics.table import METRICS, gain, skill
from pipelines.review.numbers import plain_number


@dataclass(frozen=True)
class AbsoluteTolerance:
    """A tolerance in the metric's unit, and how a message names it."""

    amount: float
    text: str


def absolute_tolerance(metric: str, tolerance: Tolerance, base: float, prevalence: float) -> AbsoluteTolerance | None:
    """The tolerance in the metric's unit; None if it is relative and the base has no skill to take a share of.

    Args:
        base: the base's value of the metric.
        prevalence: share of positives.
    """
    if not isinstance(tolerance, str):
        return AbsoluteTolerance(tolerance, f"tolerance is {plain_number(tolerance)}")
    lower = METRICS[metric].lower_is_better
    distance = base if lower else skill(metric, base, prevalence)
    if distance <= 0:
        return None
    amount = distance * float(tolerance.rstrip("%")) / 100
    of = "the base's value" if lower else "the base's distance from no skill"
    return AbsoluteTolerance(amount, f"tolerance is {plain_number(amount)}, {tolerance} of {of}")


def is_within(metric: str, low: float, high: float, amount: float) -> bool | None:
    """Whether a difference head - base is no loss beyond the tolerance; None if the interval is too wide to tell.

    Within: the whole 95 % confidence interval is. Beyond: the whole interval is, or its worse bound is and its
    half-width is at most half the tolerance, so that an equal model fails in at most 2.5 % of the cases.
    """
    worst, best = sorted((gain(metric, low), gain(metric, high)))
    if worst >= -amount:
        return True
    if best < -amount or (high - low) / 2 <= amount / 2:
        return False
    return None


def what_would_help(low: float, high: float, amount: float, rows: str) -> str:
    """How many times as many rows a gate needs that cannot tell, in words; a half-width falls with their root.

    Args:
        rows: what there must be more of: `rows`, or `positives`.
    """
    width = (high - low) / 2
    times = math.ceil((2 * width / amount) ** 2) if amount else 0
    more = f"about {times} times as many {rows}, or " * bool(times)
    return (
        f"these rows cannot show it: the half-width of the CI is {plain_number(width)}, more than half the tolerance; "
        f"it needs {more}a wider tolerance"
    )
