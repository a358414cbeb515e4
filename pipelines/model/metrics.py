"""All metrics of a task on weighted rows, and their paired bootstrap with percentile intervals.

Equal weights give the value of a metric, resampled weights its bootstrap. The computation is vectorised over resamples:
sums are one matrix product, and ranking metrics need cumulated weights only at the ranks of positives (see `_rank`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipelines.config.metrics import METRICS, Floats, Metric, Ranking, Rows, Term, names

MIN_OF_EACH_CLASS = 20  # below that, percentile intervals are too narrow
_MAX_UNDEFINED = 0.01
_CHUNK = 32  # resamples at a time; those of 50,000 rows fit into the cache of a core


def compute(
    task: str, target: Floats, scores: Floats, threshold: float | None, costs: Floats | None = None
) -> dict[str, float]:
    """Every metric of the task on the rows.

    Args:
        target: shape (n,): 0 and 1 for a classification, values for a regression.
        scores: shape (n,): probabilities or predicted values.
        threshold: of the decision; None for a regression.
        costs: shape (n, 2), see `Rows`.

    Returns:
        name -> value; NaN where a metric is not defined, for instance without a positive.
    """
    return Weighted(task, target, scores, threshold, costs).values()


class Weighted:
    """The metrics of one model on fixed rows, as a function of row weights.

    Called with weights of shape (b, n), it returns an array of shape (b,) for each metric. Order, ties and summands
    do not depend on the weights and are computed once.
    """

    def __init__(
        self, task: str, target: Floats, scores: Floats, threshold: float | None, costs: Floats | None = None
    ) -> None:
        """Prepare the rows; the arguments are those of `compute`."""
        self._rows = Rows(np.asarray(target, dtype=np.float64), np.asarray(scores, dtype=np.float64), threshold, costs)
        self._metrics = {name: METRICS[name] for name in names(task, costs is not None)}
        terms = dict.fromkeys(term for metric in self._metrics.values() for term in metric.terms)
        summands = {term: _as_columns(term(self._rows)) for term in terms}
        edges = np.cumsum([0, *(part.shape[1] for part in summands.values())])
        self._columns: dict[Term, slice] = {
            term: slice(start, end) for term, start, end in zip(terms, edges[:-1], edges[1:], strict=True)
        }
        self._summands = np.concatenate([np.empty((len(target), 0)), *summands.values()], axis=1)
        self._summands32 = self._summands.astype(np.float32)
        if any(metric.rank for metric in self._metrics.values()):
            self._prepare_ranking(self._rows.target, self._rows.scores)

    def __call__(self, weights: Floats, only: Sequence[str] | None = None) -> dict[str, Floats]:
        """Metrics for weights of shape (b, n), as a mapping name -> shape (b,); all of them, or those named."""
        metrics = {name: metric for name, metric in self._metrics.items() if only is None or name in only}
        summands = self._summands32 if weights.dtype == np.float32 else self._summands
        sums = (weights @ summands).astype(np.float64).T
        with np.errstate(divide="ignore", invalid="ignore"):
            ranking = self._rank(weights) if any(metric.rank for metric in metrics.values()) else None
            return {name: self._value(metric, sums, ranking, weights) for name, metric in metrics.items()}

    def values(self) -> dict[str, float]:
        """The metrics of the rows as they are, each once; NaN where a metric is not defined."""
        return {name: float(value[0]) for name, value in self(np.ones((1, len(self._rows.target)))).items()}

    def _value(self, metric: Metric, sums: Floats, ranking: Ranking | None, weights: Floats) -> Floats:
        if metric.value is not None:
            parts = [sums[self._columns[term]] for term in metric.terms]
            return metric.value(*(part[0] if len(part) == 1 else part for part in parts))
        if metric.rank is not None:
            assert ranking is not None
            return metric.rank(ranking)
        assert metric.direct is not None
        return np.array([metric.direct(self._rows, row) for row in weights], dtype=np.float64)

    def _prepare_ranking(self, target: Floats, scores: Floats) -> None:
        """Find the tie groups with a positive, as ranges [start, end) in the order of falling scores."""
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        positive = np.flatnonzero(target[self._order] == 1)
        new_group = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, bool)
        starts = np.flatnonzero(new_group)
        ends = np.append(starts[1:], len(ordered))
        group = np.cumsum(new_group)[positive] - 1
        with_positive, self._first_positive = np.unique(group, return_index=True)
        self._positive = self._order[positive]
        start, end = starts[with_positive], ends[with_positive]
        self._bounds = np.unique(np.concatenate([[0], start, end[end < len(ordered)]])).astype(np.intp)
        edges = np.append(self._bounds, len(ordered))
        self._start, self._end = np.searchsorted(edges, start), np.searchsorted(edges, end)

    def _rank(self, weights: Floats) -> Ranking:
        """The ranking at the ends of tie groups with a positive, the only ones that matter; NaN without a positive."""
        if not len(self._positive):
            undefined = np.full((len(weights), 1), np.nan)
            return Ranking(undefined, undefined, undefined, undefined, undefined, undefined)
        segments = np.add.reduceat(weights[:, self._order], self._bounds, axis=1)
        before = np.zeros((len(weights), segments.shape[1] + 1))
        np.cumsum(segments, axis=1, out=before[:, 1:])
        gained = np.add.reduceat(weights[:, self._positive], self._first_positive, axis=1).astype(np.float64)
        caught = np.cumsum(gained, axis=1)
        positives = caught[:, -1:]
        above = before[:, self._start] - (caught - gained)
        return Ranking(positives, before[:, -1:] - positives, gained, caught, before[:, self._end] - caught, above)


class AtThresholds:
    """The metrics that need a threshold, with a threshold of its own for each vector of row weights."""

    def __init__(self, task: str, target: Floats, scores: Floats, costs: Floats | None = None) -> None:
        """Prepare the rows; the arguments are those of `compute`."""
        self._target, self._scores = np.asarray(target, dtype=np.float64), np.asarray(scores, dtype=np.float64)
        self._costs = costs
        self._metrics = {
            name: METRICS[name] for name in names(task, costs is not None) if METRICS[name].needs_threshold
        }
        self._terms = list(dict.fromkeys(term for metric in self._metrics.values() for term in metric.terms))
        # A term's sum is its sum where no row is flagged, and what flagging adds for each flagged row.
        unflagged, flagged = self._summands(np.inf), self._summands(-np.inf)
        self._unflagged, self._added = unflagged.astype(np.float32), (flagged - unflagged).astype(np.float32)

    def __call__(self, weights: Floats, thresholds: Floats) -> dict[str, Floats]:
        """Metrics for weights of shape (b, n) and thresholds of shape (b,); NaN where the threshold is NaN."""
        flagged = weights * (self._scores >= thresholds[:, None])
        sums = (weights @ self._unflagged + flagged @ self._added).astype(np.float64).T
        by_term = dict(zip(self._terms, sums, strict=True))
        values = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, metric in self._metrics.items():
                assert metric.value is not None, "a metric that needs a threshold is made of sums"
                value = metric.value(*(by_term[term] for term in metric.terms))
                values[name] = np.where(np.isnan(thresholds), np.nan, value)
        return values

    def _summands(self, threshold: float) -> Floats:
        rows = Rows(self._target, self._scores, threshold, self._costs)
        return np.stack([term(rows) for term in self._terms], axis=1)


def _as_columns(summands: Floats) -> Floats:
    return summands[:, None] if summands.ndim == 1 else summands


def resamples(rows: int, count: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Bootstrap weights (how often each row was drawn) of `count` resamples, in chunks of shape (<= 32, rows)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        drawn = generator.integers(0, rows, size=(size, rows), dtype=np.int32 if rows < 2**31 else np.int64)
        yield np.stack([np.bincount(row, minlength=rows) for row in drawn]).astype(np.float32)


def paired_bootstrap(
    models: Sequence[Weighted], rows: int, count: int, seed: int, only: Sequence[str] | None = None
) -> list[dict[str, Floats]]:
    """Metrics of several models on the same resampled rows.

    Args:
        only: names of the metrics to keep; all of them if it is None.

    Returns:
        For each model a mapping name -> shape (count,); entry i of every model comes from the same resample.
    """
    from threadpoolctl import threadpool_limits

    collected: list[dict[str, list[Floats]]] = [{} for _ in models]
    with threadpool_limits(limits=1, user_api="blas"):  # several threads only slow down products this small
        for weights in resamples(rows, count, seed):
            for model, values in zip(models, collected, strict=True):
                for name, value in model(weights, only).items():
                    values.setdefault(name, []).append(value)
    return [{name: np.concatenate(parts) for name, parts in values.items()} for values in collected]


def too_few(task: str, target: Floats) -> str:
    """Why rows with these targets are too few for an interval; empty if they are enough."""
    if task == "regression":
        return f"{len(target)} rows are fewer than {MIN_OF_EACH_CLASS}" if len(target) < MIN_OF_EACH_CLASS else ""
    positives = int(target.sum())
    count, name = min((positives, "positives"), (len(target) - positives, "negatives"))
    return f"{count} {name} are fewer than {MIN_OF_EACH_CLASS}" if count < MIN_OF_EACH_CLASS else ""


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval (Efron, 1979) of bootstrap values of shape (b,).

    Returns:
        NaN twice if more than 1 % of the values are not defined: the others alone would give a wrong interval.
    """
    undefined = np.isnan(values)
    if not len(values) or undefined.mean() > _MAX_UNDEFINED:
        return float("nan"), float("nan")
    low, high = np.quantile(values[~undefined], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
