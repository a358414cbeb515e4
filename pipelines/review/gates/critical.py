"""Gate `critical`: the named cases of tests/critical/ are answered as expected."""

from __future__ import annotations

from pipelines.pages.numbers import plain_number
from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence


def critical_gate(evidence: Evidence) -> list[GateResult]:
    """A result for each case; a case of level `should` does not block."""
    results = []
    for case in evidence.critical:
        answer = "could not be scored" if case.probability is None else f"got {plain_number(case.probability)}"
        why = f"{answer}, expected {case.expected}. {case.why}"
        blocks = case.level == "must"
        results.append(GateResult(f"critical: {case.name}", case.passed, case.probability, None, why, blocks))
    return results
