"""Gate `regression`: a metric of the head is not worse than the base's by more than its tolerance."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.metrics.table import gain
from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence
from pipelines.review.numbers import describe_change, plain_number


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
        why = f"{describe_change(metric, row.delta, row.low, row.high)}; tolerance is {plain_number(tolerance)}"
        yield GateResult(f"regression {metric}", worst >= -tolerance, worst, -tolerance, why)
