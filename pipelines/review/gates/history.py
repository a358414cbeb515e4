"""Gate `history`: a metric of the head is not worse than that of any of the last versions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from pipelines.config.metrics import gain
from pipelines.pages.numbers import describe_change
from pipelines.review.findings import GateResult, HistoryRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.tolerance import absolute_tolerance

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
    tests = []
    unclear: dict[str, GateResult] = {}
    for row in evidence.history:
        allowed = None
        why = row.shortage or f"{row.metric} is not defined in each resample"
        if not math.isnan(row.error):
            allowed = absolute_tolerance(
                row.metric, history.regression[row.metric], row.value, evidence.prevalence or 0.0
            )
            why = "the version has no skill: give an absolute tolerance"
        if allowed is None:
            name, why = f"history {row.metric}", f"{why} ({row.version})"
            unclear.setdefault(name, GateResult(name, False, None, None, why, evaluated=False))
        else:
            tests.append((_p_value(row, allowed.amount), row, allowed))
    yield from unclear.values()
    tests.sort(key=lambda test: test[0])
    failing, shown = True, set()
    for rank, (p_value, row, allowed) in enumerate(tests):
        level = ERROR_RATE / (len(tests) - rank)
        failing = failing and p_value <= level
        if row.metric in shown:
            continue
        shown.add(row.metric)
        reach = NORMAL.inv_cdf(1 - level) * row.error
        change = describe_change(row.metric, row.delta, row.delta - reach, row.delta + reach)
        why = f"{change} since {row.version}, on {row.rows:,} rows; {allowed.text}"
        evaluated = failing or reach <= allowed.amount
        if not evaluated:
            why += "; these rows cannot show it"
        best = gain(row.metric, row.delta) + reach
        passed = evaluated and not failing
        yield GateResult(f"history {row.metric}", passed, best, -allowed.amount, why, evaluated=evaluated)


def _p_value(row: HistoryRow, tolerance: float) -> float:
    """The probability of such a loss or a larger one if the true loss is the tolerance."""
    beyond = gain(row.metric, row.delta) + tolerance
    if row.error == 0:
        return float(beyond >= 0)
    return NORMAL.cdf(beyond / row.error)
