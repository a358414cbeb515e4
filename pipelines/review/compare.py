"""Base and head as files, scored on the same rows: metrics with paired differences and their 95 % intervals."""

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
from pipelines.review import changes
from pipelines.review.findings import MetricRow
from pipelines.tables.rows import load_rows
from pipelines.tables.split import is_unseen, rows_on_side


@dataclass(frozen=True)
class Compared:
    """The test rows that neither model was trained on, with both models' scores (None: there is no base to compare).

    Attributes:
        arrow: the rows, all columns.
        target, head, base: shape (n,).
        left_out: test rows that the base was trained on.
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
        """The same for some of the rows; `mask` is of shape (n,). `arrow` stays whole and must not be used."""
        base = None if self.base is None else self.base[mask]
        parts = (self.task, None, self.target[mask], self.head[mask], self.head_threshold, base, self.base_threshold)
        return Compared(*parts, self.left_out)

    def weighted(self) -> list[Weighted]:
        """The head, and the base where there is one, as functions of row weights."""
        sides = [(self.head, self.head_threshold)]
        if self.base is not None:
            sides.append((self.base, self.base_threshold))
        return [Weighted(self.task, self.target, scores, threshold) for scores, threshold in sides]


def not_comparable(table: ir.Table, base: Signature, event_time: str | None) -> str | None:
    """Why the base's model cannot be scored on this table, or on none but rows it was trained on; None if it can.

    Args:
        event_time: the head's column, by which a base that was split by time is told its rows.
    """
    have = table.schema()
    for item in base.inputs:
        if item.name not in have:
            return f"not comparable: column {item.name}"
        kind = have[item.name]
        if not changes.fits(kind, item.type):
            return f"not comparable: column {item.name} is {kind}, and the base's model takes {item.type}"
    if base.split is not None:
        return None if base.split["column"] in have else f"not comparable: column {base.split['column']}"
    if base.trained_until is not None and event_time is None:
        return "not comparable: without schema.event_time nobody can tell which rows main's model was trained on"
    return None


def compare(table: ir.Table, params: Params, split: dict[str, Any], head: Scorer, base: Scorer | None) -> Compared:
    """Score the head's test rows with both models.

    Args:
        base: None where there is nothing to compare with.
    """
    test = rows_on_side(table, params, split, "test")
    rows = total = int(test.count().execute())
    if base is not None:
        signature = base.signature
        held_out = is_unseen(test, signature.trained_until, _plain(signature.split), params.table.event_time)
        test = test.filter(held_out)
    read = {item.name: item for scorer in (head, base) if scorer for item in scorer.signature.inputs}
    loaded = load_rows(test, params, tuple(read.values()))
    rows = len(loaded)
    return Compared(
        task=params.task,
        arrow=loaded.arrow,
        target=loaded.target,
        head=head.score(loaded.inputs),
        head_threshold=head.signature.threshold,
        base=base.score(loaded.inputs) if base else None,
        base_threshold=base.signature.threshold if base else None,
        left_out=total - rows,
    )


def _plain(split: Any) -> dict[str, Any] | None:
    return None if split is None else dict(split)


def metric_rows(compared: Compared, count: int, seed: int) -> tuple[MetricRow, ...]:
    """Every metric of the task on both sides; differences are paired, row by row, in every resample."""
    whole = [
        {name: float(value[0]) for name, value in model(np.ones((1, len(compared.target)))).items()}
        for model in compared.weighted()
    ]
    drawn = paired_bootstrap(compared.weighted(), len(compared.target), count, seed) if len(whole) > 1 else []
    rows = []
    for name in names(compared.task):
        head, lower = _known(whole[0][name]), METRICS[name].lower_is_better
        if not drawn:
            rows.append(MetricRow(name, None, head, lower_is_better=lower))
            continue
        base = _known(whole[1][name])
        low, high = interval(drawn[0][name] - drawn[1][name])
        delta = None if head is None or base is None else head - base
        rows.append(MetricRow(name, base, head, delta, _known(low), _known(high), lower))
    return tuple(rows)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
