"""Gate `fairness`: recall and false positive rate do not differ too much between groups of a sensitive column."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.config.gates import Fairness
from pipelines.config.params import Params
from pipelines.review.compare import Compared
from pipelines.review.findings import GateResult, GroupRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.numbers import plain_number
from pipelines.tables.data import to_numpy


def fairness_gate(evidence: Evidence) -> Iterator[GateResult]:
    """Two results for each sensitive column with at least two groups that have enough rows."""
    limits = evidence.params.fairness
    if limits is None:
        return
    for column in dict.fromkeys(row.column for row in evidence.groups):
        judged = [row for row in evidence.groups if row.column == column and row.judged]
        rates = (
            ("recall", {row.group: row.recall for row in judged}, limits.min_recall_ratio),
            (
                "false positive rate",
                {row.group: row.false_positive_rate for row in judged},
                limits.min_false_positive_ratio,
            ),
        )
        for rate, values, limit in rates:
            defined = {group: value for group, value in values.items() if value is not None}
            if len(defined) > 1:
                yield _compare_groups(column, rate, defined, limit)


def _compare_groups(column: str, rate: str, values: dict[str, float], limit: float) -> GateResult:
    """Compare the smallest value of a rate with the largest."""
    lowest, highest = min(values, key=lambda group: values[group]), max(values, key=lambda group: values[group])
    ratio = values[lowest] / values[highest] if values[highest] else 1.0
    why = (
        f"{rate} is {plain_number(values[lowest])} for {lowest} and {plain_number(values[highest])} for {highest}, "
        f"ratio {ratio:.2f}; minimum is {limit:g}"
    )
    return GateResult(f"fairness {column}: {rate}", ratio >= limit, ratio, limit, why)


def group_rows(compared: Compared, params: Params) -> tuple[GroupRow, ...]:
    """Recall and false positive rate of the groups of every sensitive boolean, or category with allowed values.

    A value that params.yaml does not declare is no group, so no report names it.
    """
    if params.fairness is None:
        return ()
    rows = []
    for name, column in params.table.columns.items():
        groups = column.allowed or (("true", "false") if column.type == "boolean" else ())
        if not column.sensitive or not groups or name not in compared.arrow.column_names:
            continue
        values = to_numpy(compared.arrow, name)
        for group in groups:
            mask = values == (group if values.dtype == object else float(group == "true"))
            rows.append(_group_row(name, group, compared.only(mask), params.fairness))
    return tuple(rows)


def _group_row(column: str, group: str, part: Compared, limits: Fairness) -> GroupRow:
    assert part.head_threshold is not None
    flagged, positive = part.head >= part.head_threshold, part.target == 1
    support, positives = len(part.target), int(positive.sum())
    recall = float(flagged[positive].mean()) if positives else None
    false_rate = float(flagged[~positive].mean()) if support > positives else None
    judged = support >= limits.min_support and positives >= limits.min_positives
    return GroupRow(column, group, support, positives, recall, false_rate, judged)
