"""Judge a difference by its confidence interval and a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.config.gates import Tolerance
from pipelines.config.metrics import METRICS, gain, skill
from pipelines.pages.numbers import plain_number


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


def is_within(metric: str, delta: float, low: float, high: float, amount: float) -> bool | None:
    """Whether a difference head - base is no loss beyond the tolerance; None if the interval is too wide to tell.

    Within: the whole 95 % confidence interval is. Beyond: the whole interval is, or its worse bound is and lies at most
    half the tolerance from the difference, so that an equal model fails in about 2.5 % of the cases.
    """
    worst, best = sorted((gain(metric, low), gain(metric, high)))
    if worst >= -amount:
        return True
    if best < -amount or gain(metric, delta) - worst <= amount / 2:
        return False
    return None


def what_would_help(reach: float, amount: float, rows: str) -> str:
    """How many times as many rows a gate needs that cannot tell, in words; an interval narrows with their root.

    Args:
        reach: from the difference to the worse bound of its interval.
        rows: what there must be more of: `rows`, or `positives`.
    """
    more = f"about {math.ceil((2 * reach / amount) ** 2)} times as many {rows}, or " if amount else ""
    return (
        f"these rows cannot show it: the worse bound is {plain_number(reach)} from the difference, more than half the "
        f"tolerance; it needs {more}a wider tolerance"
    )
