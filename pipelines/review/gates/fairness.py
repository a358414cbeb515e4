"""Gate `fairness`: rates at the threshold do not differ too much between groups of a sensitive column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from statistics import NormalDist

from pipelines.config.gates import Fairness
from pipelines.config.params import Params
from pipelines.review.compare import Compared
from pipelines.review.findings import GateResult, GroupRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.slices import group_labels, to_texts
from pipelines.review.numbers import plain_number
from pipelines.tables.data import to_numpy


def fairness_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each rate with a limit and each sensitive column with at least two groups that have enough rows."""
    limits = evidence.params.fairness
    if limits is None:
        return
    for column in dict.fromkeys(row.column for row in evidence.groups):
        judged = [row for row in evidence.groups if row.column == column and row.judged]
        # Rate and number of rows that it is a share of, by group.
        rates = (
            ("recall", limits.min_recall_ratio, {row.group: (row.recall, row.positives) for row in judged}),
            (
                "false positive rate",
                limits.min_false_positive_ratio,
                {row.group: (row.false_positive_rate, row.support - row.positives) for row in judged},
            ),
            (
                "selection rate",
                limits.min_selection_ratio,
                {row.group: (row.selection_rate, row.support) for row in judged},
            ),
        )
        for rate, limit, groups in rates:
            defined = {group: (value, rows) for group, (value, rows) in groups.items() if value is not None}
            if limit is None or len(defined) < 2:
                continue
            is_zero = not any(value for value, _ in defined.values())
            if is_zero and rate == "false positive rate" and any(row.recall for row in judged):
                why = f"no group has a false positive; minimum ratio is {limit:g}"
                yield GateResult(f"fairness {column}: {rate}", True, 1.0, limit, why)
            else:
                yield _judge(f"fairness {column}: {rate}", rate, defined, limit)


def _judge(name: str, rate: str, groups: dict[str, tuple[float, int]], limit: float) -> GateResult:
    """Judge every pair of groups.

    Fails if the whole 95 % confidence interval of a pair's ratio is below the limit. The interval is that of Katz et
    al. (1978) on the log scale, with half a row added to each count, and Bonferroni's correction for the number of
    pairs. Otherwise the two groups that differ most are shown; if the half-width of their interval exceeds the distance
    from 1 to the limit, the gate cannot tell.
    """
    ordered = sorted(groups, key=lambda group: groups[group][0])
    pairs = list(combinations(ordered, 2))
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    intervals = {(low, high): _log_interval(groups[low], groups[high], z) for low, high in pairs}
    # A small group that differs most by chance must not hide two large ones that are shown to differ.
    shown = min(pairs, key=lambda pair: intervals[pair][1])
    if math.exp(intervals[shown][1]) >= limit:
        shown = (ordered[0], ordered[-1])
    (lowest, highest), bounds = shown, intervals[shown]
    ratio = groups[lowest][0] / groups[highest][0] if groups[highest][0] else 1.0
    why = (
        f"{rate} is {plain_number(groups[lowest][0])} for {lowest} and {plain_number(groups[highest][0])} for "
        f"{highest}, ratio {ratio:.2f} (95 % CI {math.exp(bounds[0]):.2f} to {math.exp(bounds[1]):.2f}); "
        f"minimum is {limit:g}"
    )
    if math.exp(bounds[1]) < limit:
        return GateResult(name, False, ratio, limit, why)
    if (bounds[1] - bounds[0]) / 2 > -math.log(limit):
        why += "; these rows cannot show it: it needs more rows of the smaller group, or a higher fairness.min_support"
        return GateResult(name, False, ratio, limit, why, evaluated=False)
    return GateResult(name, True, ratio, limit, why)


def _log_interval(low: tuple[float, int], high: tuple[float, int], z: float) -> tuple[float, float]:
    """The interval of the logarithm of the ratio of two rates, each with its number of rows."""
    half_width = z * math.sqrt(_log_variance(*low) + _log_variance(*high))
    middle = math.log(_smoothed(*low) / _smoothed(*high))
    return middle - half_width, middle + half_width


def _smoothed(rate: float, rows: int) -> float:
    return (rate * rows + 0.5) / (rows + 0.5)


def _log_variance(rate: float, rows: int) -> float:
    """Variance of the logarithm of a share."""
    return 1 / (rate * rows + 0.5) - 1 / (rows + 0.5)


def group_rows(compared: Compared, params: Params) -> tuple[GroupRow, ...]:
    """The rates of the groups of every sensitive boolean or category; missing values are no group."""
    if params.fairness is None:
        return ()
    rows = []
    for name, column in params.table.columns.items():
        if not column.sensitive or column.type not in ("category", "boolean"):
            continue
        if name not in compared.arrow.column_names:
            continue
        texts = to_texts(to_numpy(compared.arrow, name))
        for label, value in group_labels(texts, column).items():
            if value != "missing":
                rows.append(_group_row(name, label, compared.only(texts == value), params.fairness))
    return tuple(rows)


def _group_row(column: str, group: str, part: Compared, limits: Fairness) -> GroupRow:
    assert part.head_threshold is not None
    flagged, positive = part.head >= part.head_threshold, part.target == 1
    support, positives = len(part.target), int(positive.sum())
    recall = float(flagged[positive].mean()) if positives else None
    false_rate = float(flagged[~positive].mean()) if support > positives else None
    selection_rate = float(flagged.mean()) if support else None
    judged = support >= limits.min_support and positives >= limits.min_positives
    return GroupRow(column, group, support, positives, recall, false_rate, selection_rate, judged)
