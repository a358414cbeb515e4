"""Minimums and tolerances from one baseline fit: what is reachable, and how far chance moves it."""

import math
from dataclasses import dataclass, field
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipelines.adopt.draft import Task
from pipelines.cli.errors import InputError
from pipelines.cli.verbs import fit_threads
from pipelines.config.metrics import METRICS, skill
from pipelines.config.params import Params
from pipelines.model import features
from pipelines.model.inputs import inputs_of
from pipelines.model.metrics import Weighted, interval, paired_bootstrap, too_few
from pipelines.tables.leak_scores import load_sample
from pipelines.tables.rows import Rows
from pipelines.tables.split import SIDES, split_boundaries

MAX_ROWS = 100_000
ROUNDS = 120
RESAMPLES = 300
WIDEST = 0.3  # a wider tolerance would let a model lose a third of its skill


@dataclass(frozen=True)
class Limits:
    """Headline metric, minimums and tolerances, each with the reason for its comment.

    Attributes:
        is_enough: whether the test rows are enough to judge a change within the tolerances.
    """

    headline: str
    headline_why: str = ""
    floors: dict[str, float] = field(default_factory=dict)
    floors_why: str = ""
    tolerances: dict[str, str] = field(default_factory=dict)
    tolerances_why: str = ""
    is_enough: bool = True


@dataclass(frozen=True)
class Baseline:
    """The limits, and the test rows with the baseline's scores of shape (n,)."""

    limits: Limits
    rows: Rows
    scores: npt.NDArray[np.float64]


def unknown_limits(task: Task) -> Limits:
    """Return limits that only make params.yaml valid, before the baseline is fitted."""
    return Limits("roc_auc" if task == "classification" else "mae")


def fit_baseline(table: ir.Table, params: Params) -> Baseline:
    """Fit gradient boosting twice, with all rounds and with three quarters of them.

    The second stands for an equally good model: the interval of its difference to the first tells which tolerance the
    test rows can resolve.
    """
    split, inputs = split_boundaries(table, params), inputs_of(params)
    train, validation, test = (load_sample(table, params, split, inputs, side, MAX_ROWS) for side in SIDES)
    for side, rows in zip(SIDES, (train, validation, test), strict=True):
        missing = ""
        if params.task == "classification" and len(set(rows.target)) < 2:
            missing = " of the other class" if 1 in rows.target else f" of the class {params.table.positive}"
        if missing or not len(rows):
            raise InputError(
                f"the {len(rows):,} {side} rows hold no row{missing}",
                "Collect more of them, or predict another column: TARGET=.",
            )
    graph = features.graph(params, features.vocabulary_of(params, train.inputs))
    matrices = [graph.transform(rows.inputs) for rows in (train, test)]
    with threadpool_limits(int(fit_threads())):
        scores = [_fit(params.task, rounds, matrices, train.target) for rounds in (ROUNDS, ROUNDS * 3 // 4)]
    threshold = 0.5 if params.task == "classification" else None
    models = [Weighted(params.task, test.target, each, threshold) for each in scores]
    values = paired_bootstrap(models, len(test), RESAMPLES, seed=7)
    return Baseline(_limits(params.task, test.target, values), test, scores[0])


def _fit(task: Task, rounds: int, matrices: list[Any], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings = {"max_iter": rounds, "early_stopping": False, "random_state": 7, "min_samples_leaf": 20}
    if task == "regression":
        return np.asarray(HistGradientBoostingRegressor(**settings).fit(matrices[0], target).predict(matrices[1]))
    fitted = HistGradientBoostingClassifier(**settings).fit(matrices[0], target)
    return np.asarray(fitted.predict_proba(matrices[1])[:, 1])


def _limits(task: Task, target: npt.NDArray[np.float64], values: list[dict[str, Any]]) -> Limits:
    """Return the limits that follow from the metrics of both models on each resample of the test rows."""
    with_floor: tuple[str, ...]
    if task == "regression":
        rate, headline, why = 0.0, "mae", "in the unit of the target"
        with_floor, with_tolerance = ("r2",), ("mae", "rmse")
    else:
        rate = float(target.mean())
        headline = "average_precision" if rate < 0.2 else "roc_auc"
        why = f"{rate:.1%} of the test rows are positive" + ("" if rate < 0.2 else ": both classes are frequent")
        with_floor, with_tolerance = ("average_precision", "roc_auc"), (headline, "log_loss")
    if few := too_few(task, target):
        guessed = dict.fromkeys(with_tolerance, "20%")
        return Limits(headline, why, {}, f"none: {few}", guessed, f"a guess: {few}", is_enough=False)
    floors, shown, tolerances, enough = {}, [], {}, True
    for name in with_floor:
        low, high = interval(values[0][name])
        floor = low - (high - low) / 2
        if math.isfinite(floor) and skill(name, math.floor(100 * floor) / 100, rate) > 0:
            floors[name] = math.floor(100 * floor) / 100
        shown.append(f"{name} {low:.3f} to {high:.3f}")
    for name in with_tolerance:
        low, high = interval(values[0][name] - values[1][name])
        size = skill(name, float(np.median(values[0][name])), rate)
        # Half the width at most half the tolerance: then an equal model fails about 2.5 times in 100.
        share = (high - low) / size if size > 0 else math.nan
        if math.isnan(share) or share > WIDEST:
            share, enough = WIDEST, False
        tolerances[name] = f"{max(5, math.ceil(100 * share))}%"
    metric = " and ".join(METRICS[name].label for name in with_tolerance)
    floors_why = f"a baseline has {', '.join(shown)} (95 % CI)"
    tolerances_why = f"what the test rows can resolve in {metric}, at least 5%"
    return Limits(headline, why, floors, floors_why, tolerances, tolerances_why, enough)
