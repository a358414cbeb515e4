"""Gate `regression`: a metric of the head is not worse than the base's by more than its tolerance."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.config.gates import Tolerance
from pipelines.config.metrics import gain
from pipelines.pages.numbers import describe_change
from pipelines.review.findings import GateResult, MetricRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.tolerance import absolute_tolerance, is_within, what_would_help


def regression_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each metric of `gates.regression`."""
    rows = {row.name: row for row in evidence.metrics}
    for metric, tolerance in evidence.params.gates.regression.items():
        yield judge(f"regression {metric}", rows[metric], tolerance, evidence.prevalence)


def judge(name: str, row: MetricRow, tolerance: Tolerance, prevalence: float | None) -> GateResult:
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
