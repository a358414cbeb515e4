"""Gate `repeated rows`: new rows are not copies of rows on the other side of the split."""

from __future__ import annotations

from collections.abc import Iterator

from scipy.special import bdtrc

from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence

MIN_REPEATED = 5
FALSE_ALARMS = 0.001


def repeated_rows_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each direction, and for the test rows of the rarer class that have a copy in training.

    Equal rows are innocent where columns are few. Training rows show how often a row has an equal one by nature; twice
    that share is expected at most, or `gates.max_repeated_rows` if that is more. More fail where the binomial tail
    beyond that share is below 0.001.
    """
    if evidence.row_changes is None:
        return
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
        passed = count < MIN_REPEATED or float(bdtrc(count - 1, total, limit)) >= FALSE_ALARMS
        if passed and part.share > limit:
            why += f"; fewer than {MIN_REPEATED} never fail" if count < MIN_REPEATED else "; the excess may be chance"
        yield GateResult(f"repeated rows: {part.of}", passed, part.share, limit, why)
