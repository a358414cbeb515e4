"""Fairness: recall and false positive rate of the groups of sensitive columns, smallest over largest."""

from __future__ import annotations

import numpy as np

from pipelines.config.gates import Fairness
from pipelines.config.params import Params
from pipelines.review.compare import Compared
from pipelines.review.findings import Gate, GroupRow
from pipelines.tables.data import to_numpy


def group_rows(compared: Compared, params: Params) -> tuple[GroupRow, ...]:
    """The groups of every sensitive column that is a boolean or a category with allowed values.

    Only values that params.yaml declares are named: a value that a row alone holds is never shown.
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
            rows.append(_row(name, group, compared.only(mask), params.fairness))
    return tuple(rows)


def _row(column: str, group: str, part: Compared, limits: Fairness) -> GroupRow:
    assert part.head_threshold is not None
    flagged, positive = part.head >= part.head_threshold, part.target == 1
    support, positives = len(part.target), int(positive.sum())
    recall = float(flagged[positive].mean()) if positives else None
    false_rate = float(flagged[~positive].mean()) if support > positives else None
    judged = support >= limits.min_support and positives >= limits.min_positives
    return GroupRow(column, group, support, positives, recall, false_rate, judged)


def fairness_gates(rows: tuple[GroupRow, ...], params: Params) -> list[Gate]:
    """Two gates a sensitive column with at least two groups that have enough rows."""
    if params.fairness is None:
        return []
    limits = params.fairness
    gates = []
    for column in dict.fromkeys(row.column for row in rows):
        judged = [row for row in rows if row.column == column and row.judged]
        if len(judged) < 2:
            continue
        rates = (
            ("recall", {r.group: r.recall for r in judged}, limits.min_recall_ratio),
            ("false positive rate", {r.group: r.false_positive_rate for r in judged}, limits.min_false_positive_ratio),
        )
        for what, values, limit in rates:
            known = {group: value for group, value in values.items() if value is not None}
            if len(known) > 1:
                gates.append(_gate(column, what, known, limit))
    return gates


def _gate(column: str, what: str, known: dict[str, float], limit: float) -> Gate:
    lowest, highest = min(known, key=lambda g: known[g]), max(known, key=lambda g: known[g])
    ratio = known[lowest] / known[highest] if known[highest] else 1.0
    why = (
        f"{what} {known[lowest]:.3f} for {lowest} against {known[highest]:.3f} for {highest}: "
        f"ratio {ratio:.2f}, at least {limit:g} is asked"
    )
    return Gate(f"fairness {column}: {what}", "fairness", bool(np.greater_equal(ratio, limit)), ratio, limit, why)
