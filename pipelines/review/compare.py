"""Base and head scored on the same rows: metrics with paired differences and their 95 % confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.config.params import Params
from pipelines.metrics.bootstrap import interval, paired_bootstrap
from pipelines.metrics.compute import Weighted
from pipelines.metrics.table import METRICS, names
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Signature
from pipelines.review.findings import MetricRow
from pipelines.tables.column_types import has_type
from pipelines.tables.rows import load_rows
from pipelines.tables.split import is_unseen, rows_on_side


@dataclass(frozen=True)
class Compared:
    """Scored test rows that neither model was trained on.

    Attributes:
        arrow: the rows with all columns.
        target, head, base: targets and scores, shape (n,); `base` is None if there is no base to compare with.
        left_out: test rows that were not scored because the base's model was trained on them.
    """

    task: str
    arrow: Any
    target: npt.NDArray[np.float64]
    head: npt.NDArray[np.float64]
    head_threshold: float | None
    base: npt.NDArray[np.float64] | None
    base_threshold: float | None
    left_out: int

    def only(self, mask: npt.NDArray[np.bool_]) -> Compared:
        """Some of the rows, by a mask of shape (n,); the result has no `arrow`."""
        base = None if self.base is None else self.base[mask]
        parts = (self.task, None, self.target[mask], self.head[mask], self.head_threshold, base, self.base_threshold)
        return Compared(*parts, self.left_out)

    def weighted(self) -> list[Weighted]:
        """The metrics of the head, and of the base if there is one, as functions of row weights."""
        sides = [(self.head, self.head_threshold)]
        if self.base is not None:
            sides.append((self.base, self.base_threshold))
        return [Weighted(self.task, self.target, scores, threshold) for scores, threshold in sides]


def not_comparable(table: ir.Table, base: Signature, event_time: str | None) -> str | None:
    """Why the base's model cannot be compared on this table; None if it can.

    It needs its input columns, and the column that tells which rows it was trained on.

    Args:
        event_time: the head's column of event times.
    """
    columns = table.schema()
    for item in base.inputs:
        if item.name not in columns:
            return f"not comparable: column {item.name}"
        column_type = columns[item.name]
        if not has_type(column_type, item.type, widened=True):
            return f"not comparable: column {item.name} is {column_type}; the base's model takes {item.type}"
    if base.split is not None:
        return None if base.split["column"] in columns else f"not comparable: column {base.split['column']}"
    if base.trained_until is not None and event_time is None:
        return (
            "not comparable: params.yaml has no schema.event_time, which tells the rows the base's model was trained on"
        )
    return None


def compare(table: ir.Table, params: Params, split: dict[str, Any], head: Scorer, base: Scorer | None) -> Compared:
    """Score the head's test rows with both models.

    Args:
        base: None if there is no base to compare with.
    """
    test = rows_on_side(table, params, split, "test")
    total = int(test.count().execute())
    if base is not None:
        signature = base.signature
        split_of_base = None if signature.split is None else dict(signature.split)
        test = test.filter(is_unseen(test, signature.trained_until, split_of_base, params.table.event_time))
    inputs = {item.name: item for scorer in (head, base) if scorer for item in scorer.signature.inputs}
    loaded = load_rows(test, params, tuple(inputs.values()))
    return Compared(
        task=params.task,
        arrow=loaded.arrow,
        target=loaded.target,
        head=head.score(loaded.inputs),
        head_threshold=head.signature.threshold,
        base=base.score(loaded.inputs) if base else None,
        base_threshold=base.signature.threshold if base else None,
        left_out=total - len(loaded),
    )


def metric_rows(compared: Compared, count: int, seed: int) -> tuple[MetricRow, ...]:
    """Every metric of the task for base and head; each bootstrap resample draws the same rows for both.

    Args:
        count: resamples.
    """
    values = [
        {name: float(value[0]) for name, value in model(np.ones((1, len(compared.target)))).items()}
        for model in compared.weighted()
    ]
    resampled = paired_bootstrap(compared.weighted(), len(compared.target), count, seed) if len(values) > 1 else []
    rows = []
    for name in names(compared.task):
        head, lower = _defined(values[0][name]), METRICS[name].lower_is_better
        if not resampled:
            rows.append(MetricRow(name, None, head, lower_is_better=lower))
            continue
        base = _defined(values[1][name])
        low, high = interval(resampled[0][name] - resampled[1][name])
        delta = None if head is None or base is None else head - base
        rows.append(MetricRow(name, base, head, delta, _defined(low), _defined(high), lower))
    return tuple(rows)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
