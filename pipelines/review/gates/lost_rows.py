"""Gate `lost rows`: few rows of the base are gone, and no few that matter much."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence


def lost_rows_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each share: of the rows, the test rows, their positives, and the loss of the base's model on them.

    The last two fail only if they exceed what as many rows chosen at random carry.
    """
    if evidence.row_changes is None:
        return
    limit = evidence.params.gates.max_lost_rows
    if why := evidence.row_changes.why_not:
        yield GateResult("lost rows", False, None, limit, why, evaluated=False)
        return
    if not evidence.row_changes.lost:
        yield GateResult("lost rows", True, 0.0, limit, "the base has the same rows")
    for part in evidence.row_changes.lost:
        why = f"lost rows are {part.share:.2%} of the base's {part.of}"
        if part.by_chance:
            why += f" (at most {part.by_chance:.2%} if as many are chosen at random)"
        why += f"; gates.max_lost_rows is {limit:.2%}"
        passed = part.share <= max(limit, part.by_chance)
        yield GateResult(f"lost rows: {part.of}", passed, part.share, limit, why)
