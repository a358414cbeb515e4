"""Gate `lost rows`: few rows of the base are gone, and no few that matter much."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.unmatched_rows import unmatched_result


def lost_rows_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each share: of the rows, the test rows, their positives, and the loss of both models on them.

    Positives and losses fail only if they exceed what as many rows chosen at random carry.
    """
    if evidence.row_changes is None:
        return
    limit = evidence.params.gates.max_lost_rows
    if not evidence.row_changes.lost:
        yield unmatched_result("lost rows", evidence.row_changes, limit)
    for part in evidence.row_changes.lost:
        why = f"lost rows are {part.share:.2%} of the base's {part.of}"
        if part.by_chance:
            why += f" (at most {part.by_chance:.2%} if as many are chosen at random)"
        why += f"; gates.max_lost_rows is {limit:.2%}"
        passed = part.share <= max(limit, part.by_chance)
        yield GateResult(f"lost rows: {part.of}", passed, part.share, limit, why)
