"""How well small models predict the target from inputs alone and together: too well means that the target leaks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.config.params import Params
from pipelines.model.encoding import Columns
from pipelines.model.signature import Input
from pipelines.tables.rows import Rows, load_rows
from pipelines.tables.split import Side, is_on_side

SAMPLE = 10_000
VALUES = 20  # of a category, the most frequent ones
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """AUC (classification) or R2 (regression) of the better of a small tree and a linear model; `error` is standard."""

    value: float
    error: float


@dataclass(frozen=True)
class LeakScores:
    """Scores of inputs of the head and of the base.

    Attributes:
        together: of all inputs of the base (None without a base), and of all inputs of the head.
        new: of the inputs that the base does not have, together; None if there is none.
        alone: input -> (base, head), of inputs that both have, where the base's rows are known.
    """

    together: tuple[Score | None, Score]
    new: Score | None = None
    alone: dict[str, tuple[Score, Score]] = field(default_factory=dict)


class Sample:
    """Training rows to fit on and validation rows to score on, at most 10,000 each, chosen by a hash of the key."""

    def __init__(self, table: ir.Table, params: Params, split: dict[str, Any], inputs: tuple[Input, ...]) -> None:
        """Load the rows of `inputs` and the target."""
        self._task = params.task
        self._fit, self._score = (load_sample(table, params, split, inputs, side) for side in ("train", "validation"))
        self._columns = {item.name: _features(item, self._fit.inputs, self._score.inputs) for item in inputs}

    def leak_score(self, names: Iterable[str]) -> Score:
        """The score of the better of two models on these inputs; 0.5 or 0 where there is nothing to score."""
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import Ridge
        from sklearn.metrics import r2_score, roc_auc_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.tree import DecisionTreeRegressor

        fit, score = (np.hstack([self._columns[name][side] for name in names]) for side in (0, 1))
        target = self._score.target
        no_skill, measure = (0.5, roc_auc_score) if self._task == "classification" else (0.0, r2_score)
        if len(np.unique(target)) < 2:
            return Score(no_skill, 0.0)
        models = (DecisionTreeRegressor(max_depth=6, min_samples_leaf=5, random_state=0), Ridge(alpha=1e-3))
        scores = [no_skill]
        for model in models:
            whole = make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler(), model
            )
            scores.append(float(measure(target, whole.fit(fit, self._fit.target).predict(score))))
        return Score(max(scores), self._error(max(scores)))

    def _error(self, score: float) -> float:
        """Standard error: of an AUC the upper bound of van Dantzig (1951), of R2 the one for normal errors."""
        target = self._score.target
        if self._task == "regression":
            return 2 * (1 - score) * math.sqrt(score / len(target))
        positives = int((target == 1).sum())
        return math.sqrt(score * (1 - score) / min(positives, len(target) - positives))


def leak_scores(
    head: Sample, base: Sample | None, head_inputs: tuple[str, ...], base_inputs: tuple[str, ...]
) -> LeakScores:
    """Score the inputs of the head on its rows, and those of the base on the base's.

    Args:
        base: `head` if the base's rows are not known; None without a base.
    """
    if base is None:
        return LeakScores((None, head.leak_score(head_inputs)))
    new = [name for name in head_inputs if name not in base_inputs]
    common = [name for name in head_inputs if name in base_inputs and base is not head]
    return LeakScores(
        together=(base.leak_score(base_inputs), head.leak_score(head_inputs)),
        new=head.leak_score(new) if new else None,
        alone={name: (base.leak_score([name]), head.leak_score([name])) for name in common},
    )


def load_sample(
    table: ir.Table,
    params: Params,
    split: dict[str, Any],
    inputs: tuple[Input, ...],
    side: Side,
    size: int = SAMPLE,
) -> Rows:
    """Load labelled rows of a side of the split, chosen by a hash of the key: rows of all times and entities."""
    rows = table.filter(table[params.table.target].notnull() & is_on_side(table, split, side))
    columns = {params.table.key, params.table.target, *(item.name for item in inputs)}
    # By the key too: a table can have keys with equal hashes.
    order = [rows[params.table.key].cast("string").hash(), rows[params.table.key]]
    return load_rows(rows.order_by(order).limit(size).select(*sorted(columns)), params, inputs)


def _features(item: Input, fit: Columns, score: Columns) -> tuple[Matrix, Matrix]:
    """An input as columns of shape (n, k) for both sides: a number as it is, a category one-hot, hour and weekday."""
    sides = fit[item.name], score[item.name]
    if item.type == "category":
        values, counts = np.unique(sides[0].astype(str), return_counts=True)
        frequent = values[np.argsort(-counts, kind="stable")[:VALUES]]
        one_hot = [(side.astype(str)[:, None] == frequent).astype(np.float64) for side in sides]
        return one_hot[0], one_hot[1]
    if item.type == "timestamp":
        parts = [np.column_stack([side // 3600 % 24, side // 86_400 % 7]).astype(np.float64) for side in sides]
        return parts[0], parts[1]
    return sides[0].astype(np.float64)[:, None], sides[1].astype(np.float64)[:, None]
