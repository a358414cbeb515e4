"""Gate `fairness`: rates at the threshold do not differ too much between groups of a sensitive column."""

import math
from collections.abc import Iterator
from itertools import combinations
from statistics import NormalDist

from pipelines.config.gates import Fairness
from pipelines.config.params import Params
from pipelines.pages.numbers import plain_number
from pipelines.review.compare import Compared
from pipelines.review.findings import GateResult, GroupRow
from pipelines.review.gates.evidence import Evidence
from pipelines.tables.data import to_numpy
from pipelines.tables.slices import group_labels, to_texts


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
                # Few false positives are good for every group; a low recall is not, nor need a low selection rate be.
                negligible = limits.negligible_false_positive_rate if rate == "false positive rate" else 0.0
                yield _judge(f"fairness {column}: {rate}", rate, defined, limit, negligible)


def _judge(name: str, rate: str, groups: dict[str, tuple[float, int]], limit: float, negligible: float) -> GateResult:
    """Judge every pair of groups.

    Fails if the whole 95 % confidence interval of a pair's ratio is below the limit. Its level is corrected by
    Bonferroni for the number of pairs. Otherwise the two groups that differ most are shown; if the half-width of their
    interval, on the log scale, exceeds the distance from 1 to the limit, the gate cannot tell. It passes then if the
    upper bounds of all rates are negligible.
    """
    ordered = sorted(groups, key=lambda group: groups[group][0])
    pairs = list(combinations(ordered, 2))
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    intervals = {(lowest, highest): ratio_interval(groups[lowest], groups[highest], z) for lowest, highest in pairs}
    # A small group that differs most by chance must not hide two large ones that are shown to differ.
    shown = min(pairs, key=lambda pair: intervals[pair][1])
    if intervals[shown][1] >= limit:
        shown = (ordered[0], ordered[-1])
    (lowest, highest), (low, high) = shown, intervals[shown]
    low_rate, high_rate = groups[lowest][0], groups[highest][0]
    ratio = low_rate / high_rate if high_rate else 1.0
    why = (
        f"{rate} is {plain_number(low_rate)} for {lowest} and {plain_number(high_rate)} for {highest}, "
        f"ratio {ratio:.2f} (95 % CI {low:.2f} to {high:.2f}); minimum is {limit:g}"
    )
    if high < limit:
        return GateResult(name, False, ratio, limit, why)
    if low == 0 or math.log(high / low) / 2 > -math.log(limit):
        highest_bound = max(wilson(*groups[group], z)[1] for group in ordered)
        if highest_bound <= negligible:
            why += f"; no rate is above {plain_number(highest_bound)}, and {negligible:g} is negligible"
            return GateResult(name, True, ratio, limit, why)
        why += "; these rows cannot show it: it needs more rows of the smaller group, or a higher fairness.min_support"
        return GateResult(name, False, ratio, limit, why, evaluated=False)
    return GateResult(name, True, ratio, limit, why)


def ratio_interval(first: tuple[float, int], second: tuple[float, int], z: float) -> tuple[float, float]:
    """Confidence interval of the ratio of two shares, each given with the number of its rows.

    Donner and Zou (2012), MOVER-R, from Wilson's interval (1927) of each share: unlike the normal approximation of the
    logarithm, it is close where a share is 0 or rows are few.
    """
    (p1, _), (p2, _) = first, second
    (low1, high1), (low2, high2) = wilson(*first, z), wilson(*second, z)
    low = (p1 * p2 - math.sqrt(max((p1 * p2) ** 2 - low1 * high2 * (2 * p1 - low1) * (2 * p2 - high2), 0))) / (
        high2 * (2 * p2 - high2) or math.inf
    )
    if low2 <= 0:
        return max(low, 0.0), math.inf
    high = (p1 * p2 + math.sqrt(max((p1 * p2) ** 2 - high1 * low2 * (2 * p1 - high1) * (2 * p2 - low2), 0))) / (
        low2 * (2 * p2 - low2)
    )
    return max(low, 0.0), high


def wilson(share: float, rows: int, z: float) -> tuple[float, float]:
    """Confidence interval of a share (Wilson, 1927)."""
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return max(centre - half, 0.0), min(centre + half, 1.0)


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
