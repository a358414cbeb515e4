"""Sections `selection` and `value`: how the winner and its threshold are chosen, and what decisions cost."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.config.base import Share, Strict, cross_check
from pipelines.config.candidates import TrainParams
from pipelines.config.features import FeatureParams
from pipelines.config.metrics import COST, METRICS, names


def _check_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"expected one of {', '.join(METRICS)}")
    return name


MetricName = Annotated[str, AfterValidator(_check_metric), Field(json_schema_extra={"enum": list(METRICS)})]
ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


def metric_errors(task: str, used: dict[str, str], costs: bool) -> Iterator[str]:
    """Yield what is wrong with a metric of another task, and with the metric `cost` without costs.

    Args:
        used: path in params.yaml -> metric.
        costs: whether params.yaml has a section `value`.
    """
    for path, metric in used.items():
        if metric == COST and not costs:
            yield f"{path}: {COST} needs the section value"
        elif metric not in names(task, costs):
            yield f"{path}: {metric} is not a metric of a {task}; use one of {', '.join(names(task))}"


class Threshold(Strict):
    """How the decision threshold is chosen on the validation rows: by `maximise`, or for the lowest cost.

    Attributes:
        maximise: the metric that the threshold maximises.
        min_precision: the precision that `maximise: recall` must keep.
        minimise: `cost` chooses the threshold with the lowest cost.
    """

    maximise: Literal["f1", "recall"] | None = None
    min_precision: Share | None = None
    minimise: Literal["cost"] | None = None

    @model_validator(mode="after")
    def _recall_needs_precision(self) -> Self:
        if self.maximise and self.minimise:
            raise ValueError("give maximise or minimise, not both")
        if (self.maximise == "recall") != (self.min_precision is not None):
            raise ValueError("min_precision belongs to maximise: recall, which needs it")
        return self


class Selection(Strict):
    """The criterion for the winner and the rule for its threshold.

    Attributes:
        metric: the candidate that is best by this metric on the validation rows wins.
        threshold: how a probability becomes a decision; null for the best `f1`. Only of a classification.
    """

    metric: MetricName
    threshold: Threshold | None = None


Cost = float | str
"""A number, or the name of a column of numbers."""


class Value(Strict):
    """The cost of each outcome of a row; a gain is negative.

    Attributes:
        unit: of the costs, for instance `EUR`.
        rows: what a row is called in reports, in the plural.
        true_positive: the cost of a positive that is found, such as `1.5`, or a column of numbers.
        false_positive: the cost of a false alarm.
        false_negative: the cost of a positive that is missed, such as `amount`.
        true_negative: the cost of a negative that is let pass.
    """

    unit: str
    rows: str = "rows"
    true_positive: Cost = 0.0
    false_positive: Cost = 0.0
    false_negative: Cost = 0.0
    true_negative: Cost = 0.0

    @property
    def columns(self) -> dict[str, str]:
        """Outcome -> column, for the outcomes whose cost is a column."""
        outcomes = ("true_positive", "false_positive", "false_negative", "true_negative")
        costs = {outcome: getattr(self, outcome) for outcome in outcomes}
        return {outcome: cost for outcome, cost in costs.items() if isinstance(cost, str)}


class SelectionParams(FeatureParams):
    """The sections that stages from `select` on need.

    Attributes:
        model_name: the name of the model in tags, MLflow and reports, such as `fraud` or `card-fraud`.
    """

    model_name: ModelName
    selection: Selection
    value: Value | None

    @cross_check
    def _selection_fits_task(self) -> Iterator[str]:
        yield from metric_errors(self.task, {"selection.metric": self.selection.metric}, self.value is not None)
        if self.selection.threshold and self.selection.threshold.minimise and self.value is None:
            yield "selection.threshold: minimise: cost needs the section value"
        if self.task == "regression" and self.selection.threshold is not None:
            yield "selection.threshold: belongs to task classification"

    @cross_check
    def _costs_are_numbers(self) -> Iterator[str]:
        if self.value is None:
            return
        if self.task == "regression":
            yield "value: belongs to task classification"
        for outcome, name in self.value.columns.items():
            column = self.table.columns.get(name)
            if column is None:
                yield f"value.{outcome}: {name} is not in schema.columns"
            elif column.type not in ("number", "integer") or column.nullable:
                yield f"value.{outcome}: {name} is not a column of numbers that are never missing"


class ComparedParams(SelectionParams, TrainParams):
    """The sections that stages need which read the candidates' settings, too."""
