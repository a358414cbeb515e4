"""Gate `validation`: the rows have no data error."""

from __future__ import annotations

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence


def validation_gate(evidence: Evidence) -> list[GateResult]:
    """A failed result for each data error, or one that passed."""
    return [
        GateResult(f"validation {error.column}: {error.kind}", False, None, None, error.why)
        for error in evidence.data_errors
    ] or [GateResult("validation", True, None, None, "every row fits the schema")]
