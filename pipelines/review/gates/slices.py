"""Gate `slices`: the metric on named parts of the test rows is not worse, from a minimum support on."""

import math
from collections.abc import Iterator

from pipelines.config.metrics import METRICS, gain, is_better
from pipelines.config.params import Params
from pipelines.model.metrics import interval, paired_bootstrap
from pipelines.pages.numbers import describe_change, plain_number
from pipelines.review.compare import Compared
from pipelines.review.findings import GateResult, SliceRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.metrics import absolute_tolerance
from pipelines.tables.slices import masks


def slices_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each slice that has enough rows."""
    limits = evidence.params.slices
    for row in evidence.slices:
        if row.passed is None:
            continue
        if row.value is None or row.base is None or row.low is None or row.high is None:
            change = f"{limits.metric} is {plain_number(row.value)}"
        else:
            change = describe_change(limits.metric, row.value - row.base, row.low, row.high)
        why = f"{change} on {row.support:,} rows" + f": {row.note}" * bool(row.note)
        yield GateResult(f"slice {row.name}", row.passed, row.value, limits.floor, why)


def slice_rows(compared: Compared, params: Params) -> tuple[SliceRow, ...]:
    """Evaluate every slice of params.yaml, at fixed thresholds.

    A slice fails if the whole 95 % confidence interval of its difference is beyond the tolerance, or the whole interval
    of its value misses the floor: few rows alone never fail a slice. With too few rows it is not evaluated.
    """
    rows = []
    for name, by in params.slices.by.items():
        for label, mask in masks(compared.arrow, name, by, params.table.columns[by.column]):
            rows.append(_slice_row(label, compared.only(mask), params))
    return tuple(rows)


def _slice_row(name: str, part: Compared, params: Params) -> SliceRow:
    limits = params.slices
    support = len(part.target)
    positives = int(part.target.sum()) if part.task == "classification" else None
    value, base = _values(part, limits.metric)
    shortage = _shortage(support, positives, params)
    if shortage or value is None:
        note = shortage or f"{limits.metric} is not defined on these rows"
        return SliceRow(name, support, positives, value, base, None, None, None, note)
    resampled = paired_bootstrap(
        part.weighted(), support, params.gates.resamples, params.gates.seed, only=[limits.metric]
    )
    reasons = []
    low = high = None
    if base is not None:
        low, high = interval(resampled[0][limits.metric] - resampled[1][limits.metric])
        if math.isnan(low):
            note = f"{limits.metric} is not defined on enough resamples of these rows"
            return SliceRow(name, support, positives, value, base, None, None, None, note)
        allowed = absolute_tolerance(limits.metric, limits.tolerance, base, (positives or 0) / support)
        best = max(gain(limits.metric, low), gain(limits.metric, high))
        if allowed is not None and best < -allowed.amount:
            reasons.append(f"the whole CI is beyond the tolerance of {plain_number(allowed.amount)}")
    if limits.floor is not None:
        bounds = interval(resampled[0][limits.metric])
        lower = METRICS[limits.metric].lower_is_better
        if is_better(limits.metric, limits.floor, min(bounds) if lower else max(bounds)):
            misses = "above the maximum" if lower else "below the minimum"
            reasons.append(f"the whole CI of its {limits.metric} is {misses} of {limits.floor:g}")
    return SliceRow(name, support, positives, value, base, low, high, not reasons, " and ".join(reasons))


def _shortage(support: int, positives: int | None, params: Params) -> str:
    """Why the slice has too few rows to be evaluated; empty if it has enough."""
    limits = params.slices
    if support < limits.min_support:
        return f"{support} rows are too few to evaluate (slices.min_support is {limits.min_support})"
    if positives is not None:
        count, name = min((positives, "positives"), (support - positives, "negatives"))
        if count < limits.min_positives:
            return f"{count} {name} are too few to evaluate (slices.min_positives is {limits.min_positives})"
    return ""


def _values(part: Compared, metric: str) -> tuple[float | None, float | None]:
    """The metric of head and base on the rows; None where it is not defined or there is no base."""
    if not len(part.target):
        return None, None
    values = [model.values()[metric] for model in part.weighted()]
    defined = [None if math.isnan(value) else value for value in values]
    return defined[0], defined[1] if len(defined) > 1 else None
