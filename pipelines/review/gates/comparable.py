"""Gate `comparable`: the base's model can be scored on test rows that it was not trained on."""

from __future__ import annotations

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence


def comparable_gate(evidence: Evidence) -> list[GateResult]:
    """One result, or none on a new model, where nothing is compared."""
    if evidence.kind == "new model":
        return []
    why = evidence.not_comparable
    if why is None and not evidence.rows:
        why = "not comparable: the base's model was trained on every test row of the head"
    rows = f"base and head were scored on the same {evidence.rows:,} test rows"
    return [GateResult("comparable", why is None, None, None, why or rows)]
