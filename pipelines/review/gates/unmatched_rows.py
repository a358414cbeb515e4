"""The result of a gate on the base's rows where there are no rows to compare."""

from __future__ import annotations

from pipelines.review.findings import GateResult
from pipelines.review.row_changes import RowChanges


def unmatched_result(name: str, changes: RowChanges, limit: float) -> GateResult:
    """Not evaluated if the rows cannot be compared, passed if they are the same."""
    if why := changes.why_not or changes.few_common:
        return GateResult(name, False, None, limit, why, evaluated=False)
    return GateResult(name, True, 0.0, limit, "the base has the same rows")
