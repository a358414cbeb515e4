"""Gate `regression`: a metric of the head is not worse than the base's by more than its tolerance."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.metrics.table import gain
from pipelines.review.findings import GateResult, MetricRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.numbers import decimals, plain_number


def regression_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each metric of `gates.regression`.

    The worse bound of the 95 % confidence interval of the paired difference is compared with the tolerance. A change
    must show that it is not worse: with too few rows to tell, the gate fails.
    """
    rows = {row.name: row for row in evidence.metrics}
    for metric, tolerance in evidence.params.gates.regression.items():
        row = rows[metric]
        if row.low is None or row.high is None or row.delta is None:
            why = f"the difference of {metric} is not defined on the test rows; tolerance is {plain_number(tolerance)}"
            yield GateResult(f"regression {metric}", False, None, -tolerance, why)
            continue
        worst = min(gain(metric, row.low), gain(metric, row.high))
        why = f"{describe_change(row)}; tolerance is {plain_number(tolerance)}"
        yield GateResult(f"regression {metric}", worst >= -tolerance, worst, -tolerance, why)


def describe_change(row: MetricRow) -> str:
    """The difference of a metric with its interval, in words."""
    assert row.delta is not None and row.low is not None and row.high is not None
    places = decimals(max(abs(row.delta), abs(row.low), abs(row.high)), 3)
    interval = f"(95 % CI {row.low:z,.{places}f} to {row.high:z,.{places}f})"
    if row.delta == 0:
        return f"{row.name} is unchanged {interval}"
    return f"{row.name} {'rose' if row.delta > 0 else 'dropped'} by {abs(row.delta):z,.{places}f} {interval}"
