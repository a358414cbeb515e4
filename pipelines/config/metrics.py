"""The table of metrics: to add a metric, add a row to `METRICS`.

A metric is computed in one of three ways:

- from weighted sums over the rows: `terms` gives the summands of each row, `value` combines their sums;
- from the ranking of the rows, with every threshold at once: `rank` combines the arrays of `Ranking`;
- from all rows: `direct` is called once for each resample, which is slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Task = Literal["classification", "regression"]
CALIBRATION_BINS = 10
COST = "cost"  # the metric made of the section `value` of params.yaml
COST_ROWS = 10_000


@dataclass(frozen=True)
class Rows:
    """Scored rows: target and scores of shape (n,), and the decision threshold (None for a regression).

    Attributes:
        costs: shape (n, 2): what a row costs if it is not predicted positive, and if it is; None without a section
            `value` in params.yaml.
    """

    target: Floats
    scores: Floats
    threshold: float | None
    costs: Floats | None = None


@dataclass(frozen=True)
class Ranking:
    """The rows in the order of falling score, for b vectors of weights and each of g scores that a positive has.

    Attributes:
        positives, negatives: weight of all positives and of all negatives, of shape (b, 1).
        gained: weight of the positives with this score, of shape (b, g).
        caught: weight of the positives with this score or a higher one.
        wrong: weight of the negatives with this score or a higher one.
        above: weight of the negatives with a higher score.
    """

    positives: Floats
    negatives: Floats
    gained: Floats
    caught: Floats
    wrong: Floats
    above: Floats


Term = Callable[[Rows], Floats]
"""Summands of each row, of shape (n,) or (n, k)."""


@dataclass(frozen=True)
class Metric:
    """A metric; exactly one of `value`, `rank` and `direct` is set.

    Attributes:
        no_skill: value of a model that knows nothing, the reference of a relative tolerance: 0 for a loss, whose
            distance from it is the loss itself; None for the share of positives.
        value: takes the sum of each term, of shape (b,) or (k, b), and returns shape (b,).
        direct: takes the rows and their weights of shape (n,).
    """

    label: str
    task: Task
    lower_is_better: bool = False
    needs_threshold: bool = False
    needs_costs: bool = False
    no_skill: float | None = 0.0
    terms: tuple[Term, ...] = ()
    value: Callable[..., Floats] | None = None
    rank: Callable[[Ranking], Floats] | None = None
    direct: Callable[[Rows, Floats], float] | None = None


def _rows(rows: Rows) -> Floats:
    return np.ones_like(rows.target)


def _target(rows: Rows) -> Floats:
    return rows.target


def _centred(rows: Rows) -> Floats:
    """Target minus its mean: sums of squares far from zero would cancel in single precision."""
    centred: Floats = rows.target - (rows.target.mean() if len(rows.target) else 0.0)
    return centred


def _centred_square(rows: Rows) -> Floats:
    return _centred(rows) ** 2


def _absolute_error(rows: Rows) -> Floats:
    return np.abs(rows.scores - rows.target)


def _squared_error(rows: Rows) -> Floats:
    return (rows.scores - rows.target) ** 2


def _log_loss(rows: Rows) -> Floats:
    clipped = np.clip(rows.scores, 1e-7, 1 - 1e-7)
    loss: Floats = -np.where(rows.target == 1, np.log(clipped), np.log1p(-clipped))
    return loss


def _flagged(rows: Rows) -> Floats:
    assert rows.threshold is not None, "a regression has no threshold"
    return (rows.scores >= rows.threshold).astype(np.float64)


def _caught(rows: Rows) -> Floats:
    return _flagged(rows) * rows.target


def _cost(rows: Rows) -> Floats:
    assert rows.costs is not None, "the metric needs costs"
    return np.where(_flagged(rows) == 1, rows.costs[:, 1], rows.costs[:, 0])


def _calibration_gaps(rows: Rows) -> Floats:
    """Score minus target, in the column of the score's bin, of shape (n, bins)."""
    bins = np.minimum((rows.scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.zeros((len(rows.target), CALIBRATION_BINS))
    gaps[np.arange(len(rows.target)), bins] = rows.scores - rows.target
    return gaps


def _precision(caught: Floats, flagged: Floats) -> Floats:
    return np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)


def _average_precision(ranking: Ranking) -> Floats:
    precision = _precision(ranking.caught, ranking.caught + ranking.wrong)
    average: Floats = (ranking.gained * precision / ranking.positives).sum(axis=1)
    return average


def _roc_auc(ranking: Ranking) -> Floats:
    """Share of the (positive, negative) pairs that are in the right order; ties count half."""
    below = ranking.negatives - (ranking.above + ranking.wrong) / 2
    share: Floats = (ranking.gained * below / (ranking.positives * ranking.negatives)).sum(axis=1)
    return share


def _mean(rows: Floats, total: Floats) -> Floats:
    return total / rows


def _r2(rows: Floats, square: Floats, centred: Floats, centred_square: Floats) -> Floats:
    return 1 - square / (centred_square - centred**2 / rows)


METRICS: dict[str, Metric] = {
    "average_precision": Metric(
        "average precision",
        "classification",
        no_skill=None,
        rank=_average_precision,
    ),
    "roc_auc": Metric(
        "ROC AUC",
        "classification",
        no_skill=0.5,
        rank=_roc_auc,
    ),
    "log_loss": Metric("log loss", "classification", lower_is_better=True, terms=(_rows, _log_loss), value=_mean),
    "brier": Metric("Brier score", "classification", lower_is_better=True, terms=(_rows, _squared_error), value=_mean),
    # Expected calibration error over equal bins of the probability (Naeini et al., 2015).
    "calibration_error": Metric(
        "calibration error",
        "classification",
        lower_is_better=True,
        terms=(_rows, _calibration_gaps),
        value=lambda rows, gaps: np.abs(gaps).sum(axis=0) / rows,
    ),
    "precision": Metric(
        "precision",
        "classification",
        needs_threshold=True,
        no_skill=None,
        terms=(_caught, _flagged),
        value=_precision,
    ),
    "recall": Metric(
        "recall",
        "classification",
        needs_threshold=True,
        terms=(_caught, _target),
        value=lambda caught, positives: caught / positives,
    ),
    "f1": Metric(
        "F1",
        "classification",
        needs_threshold=True,
        terms=(_caught, _flagged, _target),
        value=lambda caught, flagged, positives: 2 * caught / (flagged + positives),
    ),
    COST: Metric(
        f"cost per {COST_ROWS:,} rows",
        "classification",
        lower_is_better=True,
        needs_threshold=True,
        needs_costs=True,
        terms=(_rows, _cost),
        value=lambda rows, cost: COST_ROWS * cost / rows,
    ),
    "mae": Metric(
        "mean absolute error", "regression", lower_is_better=True, terms=(_rows, _absolute_error), value=_mean
    ),
    "rmse": Metric(
        "root mean squared error",
        "regression",
        lower_is_better=True,
        terms=(_rows, _squared_error),
        value=lambda rows, square: np.sqrt(square / rows),
    ),
    "r2": Metric("R²", "regression", terms=(_rows, _squared_error, _centred, _centred_square), value=_r2),
}


def names(task: str, costs: bool = False) -> tuple[str, ...]:
    """Names of a task's metrics, in the order in which they are shown.

    Args:
        costs: whether the rows have costs.
    """
    return tuple(name for name, metric in METRICS.items() if metric.task == task and (costs or not metric.needs_costs))


def is_better(name: str, head: float, base: float) -> bool:
    """Whether `head` is better than `base`."""
    return head < base if METRICS[name].lower_is_better else head > base


def gain(name: str, delta: float) -> float:
    """A difference head - base with the sign by which positive is better."""
    return -delta if METRICS[name].lower_is_better else delta


def skill(name: str, value: float, prevalence: float) -> float:
    """How far a value is from that of a model without skill; 0 if it is not better than that.

    Args:
        prevalence: share of positives.
    """
    metric = METRICS[name]
    distance = value - (prevalence if metric.no_skill is None else metric.no_skill)
    return max(distance, 0.0)


def label(name: str) -> str:
    """A metric's name as reports print it; a name that is no metric keeps its words."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")
