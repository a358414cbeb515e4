"""Gate `floors`: a metric of the head reaches its minimum, or stays below its maximum where lower is better."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.config.metrics import METRICS, is_better
from pipelines.pages.numbers import plain_number
from pipelines.review.findings import GateResult
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
