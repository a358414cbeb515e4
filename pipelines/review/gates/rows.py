"""Gates on the rows: few labels of the base changed, few of its rows are gone, and new rows are no copies of others."""

from collections.abc import Iterator

from scipy.special import bdtrc

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence
from pipelines.review.row_changes import RowChanges

MIN_ROWS = 5  # fewer corrected labels or equal rows are usual, whatever their share of a small table
FALSE_ALARMS = 0.001


def changed_labels_gate(evidence: Evidence) -> Iterator[GateResult]:
    """One result: the larger share of changed labels, of all rows or of the test rows."""
    limit = evidence.params.gates.max_changed_labels
    parts = evidence.row_changes.labels
    if not parts:
        yield _unmatched("changed labels", evidence.row_changes, limit)
        return
    judged = [part for part in parts if part.count >= MIN_ROWS] or parts
    worst = max(judged, key=lambda part: part.share)
    why = (
        f"{worst.count:,.0f} rows of the base have another label, {worst.share:.2%} of its {worst.total:,.0f} "
        f"{worst.of}; gates.max_changed_labels is {limit:.2%}"
    )
    passed = worst.count < MIN_ROWS or worst.share <= limit
    if passed and worst.share > limit:
        why += f"; fewer than {MIN_ROWS} never fail"
    yield GateResult("changed labels", passed, worst.share, limit, why)


def lost_rows_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each share: of the rows, the test rows, their positives, and the loss of both models on them.

    Positives and losses fail only if they exceed what as many rows chosen at random carry.
    """
    limit = evidence.params.gates.max_lost_rows
    if not evidence.row_changes.lost:
        yield _unmatched("lost rows", evidence.row_changes, limit)
    for part in evidence.row_changes.lost:
        why = f"lost rows are {part.share:.2%} of the base's {part.of}"
        if part.by_chance:
            why += f" (at most {part.by_chance:.2%} if as many are chosen at random)"
        why += f"; gates.max_lost_rows is {limit:.2%}"
        passed = part.share <= max(limit, part.by_chance)
        yield GateResult(f"lost rows: {part.of}", passed, part.share, limit, why)


def _unmatched(name: str, changes: RowChanges, limit: float) -> GateResult:
    """Without rows to compare: not evaluated if they cannot be compared, passed if they are the same."""
    if why := changes.why_not or changes.few_common:
        return GateResult(name, False, None, limit, why, evaluated=False)
    return GateResult(name, True, 0.0, limit, "the base has the same rows")


def repeated_rows_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each direction, and for the test rows of the rarer class that have a copy in training.

    Equal rows are innocent where columns are few. Training rows show how often a row has an equal one by nature; twice
    that share is expected at most, or `gates.max_repeated_rows` if that is more. More fail where the binomial tail
    beyond that share is below 0.001.
    """
    changes, setting = evidence.row_changes, evidence.params.gates.max_repeated_rows
    if not changes.repeated:
        yield GateResult("repeated rows", True, 0.0, setting, "the base has the same rows")
    for part in changes.repeated:
        limit = min(1.0, max(setting, 2 * part.by_chance))
        count, total = int(part.count), int(part.total)
        why = f"{count:,} of {total:,} {part.of} in all inputs and the target ({part.share:.2%}); "
        if limit > setting:
            why += f"up to {limit:.2%} are expected, twice the share of training rows that have an equal one"
        else:
            why += f"gates.max_repeated_rows is {setting:.2%}"
        passed = count < MIN_ROWS or float(bdtrc(count - 1, total, limit)) >= FALSE_ALARMS
        if passed and part.share > limit:
            why += f"; fewer than {MIN_ROWS} never fail" if count < MIN_ROWS else "; the excess may be chance"
        yield GateResult(f"repeated rows: {part.of}", passed, part.share, limit, why)
