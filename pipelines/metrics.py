"""Metrics of a task, all from one weighted form: the point value has equal weights, a bootstrap has resampled ones.

The weighted form is vectorised over resamples: sums are one matrix product, and ranking metrics need a row's weight
only where a positive stands (see `_ranking`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
CLASSIFICATION = (
    "average_precision",
    "roc_auc",
    "log_loss",
    "brier",
    "calibration_error",
    "precision",
    "recall",
    "f1",
)
REGRESSION = ("mae", "rmse", "r2")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "mae", "rmse"})
NEEDS_THRESHOLD = frozenset({"precision", "recall", "f1"})
CALIBRATION_BINS = 10
_CHUNK = 32  # resamples at a time: 50,000 rows of them stay in the cache of a core


def names(task: str) -> tuple[str, ...]:
    """Metrics of a task, in the order in which they are shown."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def better(name: str, head: float, base: float) -> bool:
    """Whether `head` is better than `base`."""
    return head < base if name in LOWER_IS_BETTER else head > base


def gain(name: str, delta: float) -> float:
    """A difference head - base, turned so that positive is better."""
    return -delta if name in LOWER_IS_BETTER else delta


def compute(task: str, target: Floats, scores: Floats, threshold: float | None) -> dict[str, float]:
    """Every metric of the task on the rows.

    Args:
        target: shape (n,): 0 and 1 for a classification, values for a regression.
        scores: shape (n,): probabilities or predicted values.
        threshold: of the decision; None for a regression.

    Returns:
        name -> value; NaN where a metric is not defined (no positive, say).
    """
    weighted = Weighted(task, target, scores, threshold)
    return {name: float(value[0]) for name, value in weighted(np.ones((1, len(target)))).items()}


def resamples(rows: int, count: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Bootstrap weights (how often each row was drawn), in chunks of shape (<= 32, rows), `count` in all."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        drawn = generator.integers(0, rows, size=(size, rows), dtype=np.int32 if rows < 2**31 else np.int64)
        yield np.stack([np.bincount(row, minlength=rows) for row in drawn]).astype(np.float32)


class Weighted:
    """The metrics of one model on fixed rows, as a function of row weights.

    Called with weights of shape (b, n), it gives arrays of shape (b,) a metric. What does not depend on the weights
    (order, ties, losses) is computed once.
    """

    def __init__(self, task: str, target: Floats, scores: Floats, threshold: float | None) -> None:
        """Prepare the rows; arguments as in `compute`."""
        self.task = task
        target = np.asarray(target, dtype=np.float64)
        scores = np.asarray(scores, dtype=np.float64)
        if task == "classification":
            assert threshold is not None
            self._terms = _classification_terms(target, scores, threshold)
            self._prepare_ranking(target, scores)
        else:
            error = scores - target
            self._terms = np.stack([np.ones_like(target), np.abs(error), error**2, target, target**2], axis=1)
        self._terms32 = self._terms.astype(np.float32)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Metrics for weights of shape (b, n): name -> shape (b,)."""
        terms = self._terms32 if weights.dtype == np.float32 else self._terms
        sums = (weights @ terms).astype(np.float64).T
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.task == "regression":
                return _regression(sums)
            return self._ranking(weights) | _classification(sums)

    def _prepare_ranking(self, target: Floats, scores: Floats) -> None:
        """Find the tie groups that hold a positive: [start, end) in the order of falling scores."""
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        positive = np.flatnonzero(target[self._order] == 1)
        new_group = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, bool)
        starts = np.flatnonzero(new_group)
        ends = np.append(starts[1:], len(ordered))
        group = np.cumsum(new_group)[positive] - 1
        held, self._first_positive = np.unique(group, return_index=True)
        self._positive = self._order[positive]
        start, end = starts[held], ends[held]
        self._bounds = np.unique(np.concatenate([[0], start, end[end < len(ordered)]])).astype(np.intp)
        edges = np.append(self._bounds, len(ordered))
        self._start, self._end = np.searchsorted(edges, start), np.searchsorted(edges, end)

    def _ranking(self, weights: Floats) -> dict[str, Floats]:
        """Average precision (sum over thresholds of precision times gained recall) and ROC AUC (ties count half).

        Both are sums over positives alone, so the cumulated weight is needed at the ends of their tie groups only.
        """
        if not len(self._positive):
            nothing = np.full(len(weights), np.nan)
            return {"average_precision": nothing, "roc_auc": nothing}
        segments = np.add.reduceat(weights[:, self._order], self._bounds, axis=1)
        before = np.zeros((len(weights), segments.shape[1] + 1))
        np.cumsum(segments, axis=1, out=before[:, 1:])
        gained = np.add.reduceat(weights[:, self._positive], self._first_positive, axis=1).astype(np.float64)
        caught = np.cumsum(gained, axis=1)
        positives = caught[:, -1]
        flagged = before[:, self._end]
        negatives = before[:, -1] - positives
        above = before[:, self._start] - (caught - gained)  # negatives that rank higher than the group
        tied = flagged - before[:, self._start] - gained
        precision = np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)
        won = (gained * (negatives[:, None] - above - tied / 2)).sum(axis=1)
        return {
            "average_precision": (gained * precision).sum(axis=1) / positives,
            "roc_auc": won / (positives * negatives),
        }


def _classification_terms(target: Floats, scores: Floats, threshold: float) -> Floats:
    """Per row what the sums of the other metrics are made of; shape (n, 6 + bins)."""
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    flagged = (scores >= threshold).astype(np.float64)
    loss = -np.where(target == 1, np.log(clipped), np.log1p(-clipped))
    bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.zeros((len(target), CALIBRATION_BINS))
    gaps[np.arange(len(target)), bins] = scores - target
    columns = [np.ones_like(target), loss, (scores - target) ** 2, flagged * target, flagged, target]
    return np.concatenate([np.stack(columns, axis=1), gaps], axis=1)


def _classification(sums: Floats) -> dict[str, Floats]:
    rows, loss, square, caught, flagged, positives = sums[:6]
    precision = np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)
    recall = caught / positives
    both = flagged + positives
    return {
        "log_loss": loss / rows,
        "brier": square / rows,
        # Expected calibration error over equal bins of the probability (Naeini et al., 2015).
        "calibration_error": np.abs(sums[6:]).sum(axis=0) / rows,
        "precision": precision,
        "recall": recall,
        "f1": 2 * caught / both,
    }


def _regression(sums: Floats) -> dict[str, Floats]:
    rows, absolute, square, target, target_square = sums
    spread = target_square - target**2 / rows
    return {"mae": absolute / rows, "rmse": np.sqrt(square / rows), "r2": 1 - square / spread}


def paired_bootstrap(
    models: Sequence[Weighted], rows: int, count: int, seed: int, only: Sequence[str] | None = None
) -> list[dict[str, Floats]]:
    """Metrics of several models on the same resampled rows.

    Returns:
        For each model name -> shape (count,); entry i of every model comes from the same resample.
    """
    from threadpoolctl import threadpool_limits

    collected: list[dict[str, list[Floats]]] = [{} for _ in models]
    with threadpool_limits(limits=1, user_api="blas"):  # products this small would only wait for their threads
        for weights in resamples(rows, count, seed):
            for model, values in zip(models, collected, strict=True):
                for name, value in model(weights).items():
                    if only is None or name in only:
                        values.setdefault(name, []).append(value)
    return [{name: np.concatenate(parts) for name, parts in values.items()} for values in collected]


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval (Efron, 1979) of bootstrap values of shape (b,), leaving out undefined ones."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
