"""Gates on whole metrics: each reaches its minimum, and is not worse than the base's by more than its tolerance."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.config.gates import Tolerance
from pipelines.config.metrics import METRICS, gain, is_better, skill
from pipelines.pages.numbers import describe_change, plain_number
from pipelines.review.findings import GateResult, MetricRow
from pipelines.review.gates.evidence import Evidence


def floors_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each metric of `gates.floors`; a metric that is not defined fails."""
    values = {row.name: row.head for row in evidence.metrics}
    for metric, limit in evidence.params.gates.floors.items():
        value = values[metric]
        passed = value is not None and not is_better(metric, limit, value)
        bound = "maximum" if METRICS[metric].lower_is_better else "minimum"
        why = f"{metric} is {plain_number(value)}; {bound} is {plain_number(limit)}"
        yield GateResult(f"floor {metric}", passed, value, limit, why)


def regression_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each metric of `gates.regression`."""
    rows = {row.name: row for row in evidence.metrics}
    for metric, tolerance in evidence.params.gates.regression.items():
        yield _judge(f"regression {metric}", rows[metric], tolerance, evidence.prevalence)


def _judge(name: str, row: MetricRow, tolerance: Tolerance, prevalence: float | None) -> GateResult:
    """Judge the difference of a metric by the 95 % confidence interval of the paired difference.

    Args:
        name: of the gate.
        prevalence: share of positives in the test rows; None for a regression.
    """
    if row.base is None or row.delta is None or row.low is None or row.high is None:
        why = row.shortage or f"the difference of {row.name} is not defined on enough resamples of the test rows"
        return GateResult(name, False, None, None, why, evaluated=False)
    allowed = absolute_tolerance(row.name, tolerance, row.base, prevalence or 0.0)
    change = describe_change(row.name, row.delta, row.low, row.high)
    if allowed is None:
        why = f"{change}; the base has no skill for {tolerance} to be a share of: give an absolute tolerance"
        return GateResult(name, False, None, None, why, evaluated=False)
    worst = min(gain(row.name, row.low), gain(row.name, row.high))
    within = is_within(row.name, row.delta, row.low, row.high, allowed.amount)
    why = f"{change}; {allowed.text}"
    if within is None:
        reach = gain(row.name, row.delta) - worst
        why += f"; {what_would_help(reach, allowed.amount, 'rows' if prevalence is None else 'positives')}"
    return GateResult(name, bool(within), worst, -allowed.amount, why, evaluated=within is not None)


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
