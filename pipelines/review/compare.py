"""Base and head scored on the same rows: plots, and metrics with paired differences and their 95 % intervals."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.config.metrics import METRICS, Floats, names
from pipelines.config.params import Params
from pipelines.config.selection import Threshold
from pipelines.model import curves
from pipelines.model.metrics import AtThresholds, Weighted, interval, paired_bootstrap, resamples, too_few
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input
from pipelines.model.threshold import ThresholdChoice
from pipelines.pages.charts import Plot
from pipelines.review.earlier_model import EarlierModel
from pipelines.review.findings import MetricRow
from pipelines.tables.costs import costs_of
from pipelines.tables.rows import load_rows
from pipelines.tables.split import is_unseen, rows_on_side

_TITLES = {
    "precision_by_recall": ("Precision and recall", "recall", "precision"),
    "true_by_false_positive_rate": ("ROC", "false positive rate", "true positive rate"),
    "observed_by_predicted": ("Observed by predicted", "predicted", "observed"),
    "absolute_residual_by_predicted": ("Absolute residual by prediction", "predicted", "absolute residual"),
    "rows_by_outcome": ("Outcomes at the threshold", "rows", ""),
    "rows_by_score": ("Rows by probability", "rows", "probability"),
    "rows_by_residual": ("Rows by residual", "rows", "residual"),
    "rows_by_prediction": ("Rows by prediction", "rows", "prediction"),
}


@dataclass(frozen=True)
class Compared:
    """Scored test rows that neither model was trained on.

    Attributes:
        arrow: the rows with all columns.
        target, head, base: targets and scores, shape (n,); `base` is None if there is no base to compare with.
        left_out: test rows that were not scored because the base's model was trained on them.
        costs: shape (n, 2), see `pipelines.config.metrics.Rows`; None without a section `value`.
        choices: of both thresholds, for head and base, on the scored validation rows; each bootstrap resample chooses
            them again. Intervals with fixed thresholds would leave out the chance in that choice; in half of all pairs
            of equally good models they exclude zero. None for a regression, without a base, and where the base chose
            its threshold by another rule or on other rows: its threshold is then taken as it is.
    """

    task: str
    arrow: Any
    target: npt.NDArray[np.float64]
    head: npt.NDArray[np.float64]
    head_threshold: float | None
    base: npt.NDArray[np.float64] | None
    base_threshold: float | None
    left_out: int
    choices: tuple[ThresholdChoice, ThresholdChoice] | None = None
    costs: npt.NDArray[np.float64] | None = None

    def only(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Some of the rows, by a mask of shape (n,); the result has no `arrow`."""
        return replace(
            self,
            arrow=None,
            target=self.target[mask],
            head=self.head[mask],
            base=None if self.base is None else self.base[mask],
            choices=None,
            costs=None if self.costs is None else self.costs[mask],
        )

    def gives_equal_answers(self) -> bool:
        """Whether base and head have the same scores and the same threshold."""
        same_threshold = self.head_threshold == self.base_threshold
        return self.base is not None and same_threshold and np.array_equal(self.head, self.base)

    def weighted(self) -> list[Weighted]:
        """The metrics of the head, and of the base if there is one, as functions of row weights."""
        sides = [(self.head, self.head_threshold)]
        if self.base is not None:
            sides.append((self.base, self.base_threshold))
        return [Weighted(self.task, self.target, scores, threshold, self.costs) for scores, threshold in sides]


def unseen_test_rows(
    table: ir.Table, params: Params, split: dict[str, Any], models: Iterable[EarlierModel]
) -> ir.Table:
    """The head's test rows that none of these models was trained on, nor chose its threshold on."""
    rows = rows_on_side(table, params, split, "test")
    for model in models:
        signature = model.signature
        model_split = None if signature.split is None else dict(signature.split)
        rows = rows.filter(is_unseen(rows, signature.trained_until, model_split, params.table.event_time))
    return rows


def inputs_of_all(head: Scorer, models: Iterable[EarlierModel]) -> tuple[Input, ...]:
    """The inputs that the head's model and earlier ones read from the head's rows, each name once."""
    inputs = (*head.signature.inputs, *(item for model in models for item in model.inputs))
    return tuple({item.name: item for item in inputs}.values())


def compare(
    table: ir.Table,
    params: Params,
    split: dict[str, Any],
    head: Scorer,
    base: EarlierModel | None,
    same_choice: bool = False,
) -> Compared:
    """Score the head's test rows with both models.

    Args:
        base: None if there is no base to compare with.
        same_choice: whether the base chose its threshold by the same rule, on validation rows split off the same way.
    """
    total = int(rows_on_side(table, params, split, "test").count().execute())
    compared_with = [] if base is None else [base]
    test = unseen_test_rows(table, params, split, compared_with)
    loaded = load_rows(test, params, inputs_of_all(head, compared_with))
    return Compared(
        task=params.task,
        arrow=loaded.arrow,
        target=loaded.target,
        head=head.score(loaded.inputs),
        head_threshold=head.signature.threshold,
        base=base.score(loaded) if base else None,
        base_threshold=base.signature.threshold if base else None,
        left_out=total - len(loaded),
        choices=_threshold_choices(table, params, split, head, base) if base and same_choice else None,
        costs=costs_of(loaded.arrow, loaded.target, params.value),
    )


def _threshold_choices(
    table: ir.Table, params: Params, split: dict[str, Any], head: Scorer, base: EarlierModel
) -> tuple[ThresholdChoice, ThresholdChoice] | None:
    rows = load_rows(rows_on_side(table, params, split, "validation"), params, inputs_of_all(head, [base]))
    if too_few(params.task, rows.target):
        return None
    rule = params.selection.threshold or Threshold()
    costs = costs_of(rows.arrow, rows.target, params.value)
    of_head, of_base = head.score(rows.inputs), base.score(rows)
    return ThresholdChoice(rows.target, of_head, rule, costs), ThresholdChoice(rows.target, of_base, rule, costs)


def metric_rows(compared: Compared, count: int, seed: int) -> tuple[MetricRow, ...]:
    """Every metric of the task for base and head; each bootstrap resample draws the same rows for both.

    Args:
        count: resamples.
    """
    values = [model.values() for model in compared.weighted()]
    equal = compared.gives_equal_answers()
    shortage = "" if equal else too_few(compared.task, compared.target)
    resampled: list[dict[str, Floats]] = []
    if len(values) > 1 and not equal and not shortage:
        resampled = paired_bootstrap(compared.weighted(), len(compared.target), count, seed)
        for side, rechosen in zip(resampled, _bootstrap_with_choice(compared, count, seed), strict=False):
            side |= rechosen
    rows = []
    for name in names(compared.task, compared.costs is not None):
        head, base = (_defined(side[name]) for side in (values[0], values[-1]))
        lower = METRICS[name].lower_is_better
        if len(values) == 1:
            rows.append(MetricRow(name, None, head, lower_is_better=lower))
            continue
        delta = None if head is None or base is None else head - base
        low = high = 0.0 if equal and delta is not None else None
        if resampled:
            low, high = map(_defined, interval(resampled[0][name] - resampled[1][name]))
        rows.append(MetricRow(name, base, head, delta, low, high, lower, shortage))
    return tuple(rows)


def _bootstrap_with_choice(compared: Compared, count: int, seed: int) -> list[dict[str, Floats]]:
    """The metrics that need a threshold, where each resample chooses the thresholds of both models again.

    Returns:
        For head and base a mapping name -> shape (count,); nothing where the thresholds are taken as they are.
    """
    if compared.choices is None or compared.base is None:
        return []
    metrics = [
        AtThresholds(compared.task, compared.target, scores, compared.costs)
        for scores in (compared.head, compared.base)
    ]
    collected: list[dict[str, list[Floats]]] = [{}, {}]
    draws = zip(
        resamples(len(compared.target), count, seed),
        resamples(compared.choices[0].rows, count, seed + 1),
        strict=True,
    )
    for weights, validation_weights in draws:
        for choice, at_thresholds, values in zip(compared.choices, metrics, collected, strict=True):
            for name, value in at_thresholds(weights, choice(validation_weights)).items():
                values.setdefault(name, []).append(value)
    return [{name: np.concatenate(parts) for name, parts in values.items()} for values in collected]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value


def plots(compared: Compared) -> tuple[Plot, ...]:
    """Every plot of the task."""
    lines = {"head": curves.curves(compared.task, compared.target, compared.head)}
    if compared.base is not None:
        lines["base"] = curves.curves(compared.task, compared.target, compared.base)
    drawn = []
    for name in lines["head"]:
        title, x, y = _TITLES[name]
        drawn.append(
            Plot(name, title, "lines", x, y, {side: curves_of_side[name] for side, curves_of_side in lines.items()})
        )
    histograms = curves.bars(compared.task, compared.target, compared.head, compared.head_threshold)
    for name, bars in histograms.items():
        title, x, y = _TITLES[name]
        drawn.append(Plot(name, title, "bars", x, y, bars=bars))
    return tuple(drawn)
