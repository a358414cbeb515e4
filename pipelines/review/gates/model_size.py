"""Gate `model size`: the head's model file is not larger than `gates.max_model_mb`."""

from __future__ import annotations

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence


def model_size_gate(evidence: Evidence) -> list[GateResult]:
    """One result, in megabytes of a million bytes."""
    assert evidence.head is not None
    size, limit = evidence.head.stat().st_size / 1e6, evidence.params.gates.max_model_mb
    return [GateResult("model size", size <= limit, size, limit, f"{size:.1f} MB; maximum is {limit:g} MB")]
