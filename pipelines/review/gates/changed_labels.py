"""Gate `changed labels`: few rows of the base have another label in the head."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.unmatched_rows import unmatched_result

MIN_CHANGED = 5  # so many corrected labels are usual, whatever their share of a small table


def changed_labels_gate(evidence: Evidence) -> Iterator[GateResult]:
    """One result: the larger share of changed labels, of all rows or of the test rows."""
    if evidence.row_changes is None:
        return
    limit = evidence.params.gates.max_changed_labels
    parts = evidence.row_changes.labels
    if not parts:
        yield unmatched_result("changed labels", evidence.row_changes, limit)
        return
    judged = [part for part in parts if part.count >= MIN_CHANGED] or parts
    worst = max(judged, key=lambda part: part.share)
    why = (
        f"{worst.count:,.0f} rows of the base have another label, {worst.share:.2%} of its {worst.total:,.0f} "
        f"{worst.of}; gates.max_changed_labels is {limit:.2%}"
    )
    passed = worst.count < MIN_CHANGED or worst.share <= limit
    if passed and worst.share > limit:
        why += f"; fewer than {MIN_CHANGED} never fail"
    yield GateResult("changed labels", passed, worst.share, limit, why)
