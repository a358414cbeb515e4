"""Gate `history`: a metric of the head is not worse than that of any of the last versions."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

from pipelines.metrics.table import gain
from pipelines.review.findings import GateResult, HistoryRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.numbers import describe_change, plain_number

ERROR_RATE = 0.025  # one-sided, over all versions and metrics together: that of a 95 % confidence interval
NORMAL = NormalDist()


def history_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each metric of `gates.history.regression`, from the version that it lost most against.

    It fails if the loss is shown to be beyond the tolerance (Holm, 1979, over all versions and metrics): of several
    versions one always looks better by chance. Where the rows are too few to show a loss of twice the tolerance, it is
    not evaluated.
    """
    history = evidence.params.gates.history
    if history is None:
        return
    # A metric that is not defined in a resample has no standard error.
    rows = [row for row in evidence.history if row.metric in history.regression and row.error == row.error]
    tests = sorted((_p_value(row, history.regression[row.metric]), i, row) for i, row in enumerate(rows))
    failing, shown = True, set()
    for rank, (p_value, _, row) in enumerate(tests):
        tolerance, level = history.regression[row.metric], ERROR_RATE / (len(tests) - rank)
        failing = failing and p_value <= level
        if row.metric in shown:
            continue
        shown.add(row.metric)
        reach = NORMAL.inv_cdf(1 - level) * row.error
        if not failing and reach > tolerance:
            continue
        change = describe_change(row.metric, row.delta, row.delta - reach, row.delta + reach)
        why = f"{change} since {row.version}, on {row.rows:,} rows; tolerance is {plain_number(tolerance)}"
        best = gain(row.metric, row.delta) + reach
        yield GateResult(f"history {row.metric}", not failing, best, -tolerance, why)


def _p_value(row: HistoryRow, tolerance: float) -> float:
    """The probability of such a loss or a larger one if the true loss is the tolerance."""
    beyond = gain(row.metric, row.delta) + tolerance
    if row.error == 0:
        return float(beyond >= 0)
    return NORMAL.cdf(beyond / row.error)
