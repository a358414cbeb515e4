"""Gates that pass or fail without a limit: valid rows, a comparable base, critical cases."""

from pipelines.pages.numbers import plain_number
from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence


def validation_gate(evidence: Evidence) -> list[GateResult]:
    """A failed result for each data error, or one that passed."""
    return [
        GateResult(f"validation {error.column}: {error.kind}", False, None, None, error.why)
        for error in evidence.data_errors
    ] or [GateResult("validation", True, None, None, "every row fits the schema")]


def comparable_gate(evidence: Evidence) -> list[GateResult]:
    """Whether the base's model can be scored on test rows that it was not trained on; no result on a new model."""
    if evidence.kind == "new model":
        return []
    why = evidence.not_comparable
    if why is None and not evidence.rows:
        why = "not comparable: the base's model was trained on every test row of the head"
    rows = f"base and head were scored on the same {evidence.rows:,} test rows"
    return [GateResult("comparable", why is None, None, None, why or rows)]


def critical_gate(evidence: Evidence) -> list[GateResult]:
    """A result for each case of tests/critical/; a case of level `should` does not block."""
    results = []
    for case in evidence.critical:
        answer = "could not be scored" if case.probability is None else f"got {plain_number(case.probability)}"
        why = f"{answer}, expected {case.expected}. {case.why}"
        blocks = case.level == "must"
        results.append(GateResult(f"critical: {case.name}", case.passed, case.probability, None, why, blocks))
    return results
