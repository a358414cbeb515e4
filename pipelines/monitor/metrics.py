"""Metrics of labelled predictions with intervals, overall and by slice, beside what the test rows promised."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config.metrics import METRICS, Floats
from pipelines.config.params import Params
from pipelines.model.metrics import Weighted, interval, paired_bootstrap, too_few
from pipelines.model.signature import Signature
from pipelines.monitor.pass_record import Metric
from pipelines.predictions.labels import TARGET
from pipelines.predictions.window import SCORE
from pipelines.repository.lineage import json_at
from pipelines.tables.costs import costs_of
from pipelines.tables.data import to_numpy
from pipelines.tables.slices import masks

RESAMPLES = 300
SEED = 7


def measure(rows: Any, params: Params, signature: Signature, promised: Mapping[str, float]) -> tuple[Metric, ...]:
    """Return all metrics of the task on all rows, and the metric of `slices` on each slice whose column is logged.

    Args:
        rows: an Arrow table with SCORE, TARGET and the inputs.
        promised: metric -> its value on the test rows.
    """
    metrics = list(_metrics(rows, params, signature, None, promised))
    logged = {item.name for item in signature.inputs if not item.sensitive}
    for name, by in params.slices.by.items():
        if by.column in logged:
            for label, mask in masks(rows, name, by, params.table.columns[by.column]):
                metrics += _metrics(rows.filter(mask), params, signature, label, {})
    return tuple(metrics)


def _metrics(
    rows: Any, params: Params, signature: Signature, part: str | None, promised: Mapping[str, float]
) -> Iterator[Metric]:
    if not len(rows):
        return
    target, scores = to_numpy(rows, TARGET).astype(np.float64), to_numpy(rows, SCORE)
    weighted = Weighted(signature.task, target, scores, signature.threshold, _costs(rows, target, params))
    values = {name: float(value[0]) for name, value in weighted(np.ones((1, len(target)))).items()}
    named = [name for name in values if part is None or name == params.slices.metric]
    resampled: dict[str, Floats] = {}
    if not too_few(signature.task, target) and (part is None or len(rows) >= params.slices.min_support):
        (resampled,) = paired_bootstrap([weighted], len(target), RESAMPLES, SEED, only=named)
    for name in named:
        low, high = interval(resampled[name]) if name in resampled else (float("nan"), float("nan"))
        yield Metric(
            name=name,
            slice=part,
            rows=len(rows),
            value=_defined(values[name]),
            low=_defined(low),
            high=_defined(high),
            promised=_defined(promised.get(name, float("nan"))),
        )


def _costs(rows: Any, target: npt.NDArray[np.float64], params: Params) -> Floats | None:
    """Return the costs of the rows; None if a column that they need is not logged."""
    try:
        return costs_of(rows, target, params.value)
    except (KeyError, ValueError):
        return None


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def promised_metrics(commit: str) -> dict[str, float]:
    """Return the metrics of the test rows in reports/metrics.json of a version's commit; empty if it has none."""
    promised = json_at(commit, "reports/metrics.json").get("test")
    numbers = promised.items() if isinstance(promised, dict) else ()
    return {name: float(value) for name, value in numbers if name in METRICS and isinstance(value, int | float)}
