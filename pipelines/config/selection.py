"""Section `selection`: how the winner and its threshold are chosen on the validation rows."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.config.base import Share, Strict
from pipelines.config.features import FeatureParams
from pipelines.metrics.table import METRICS, names


def _check_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"expected one of {', '.join(METRICS)}")
    return name


MetricName = Annotated[str, AfterValidator(_check_metric), Field(json_schema_extra={"enum": list(METRICS)})]
ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


def check_metrics_fit(task: str, used: dict[str, str]) -> None:
    """Raise ValueError for a metric of another task; `used` is path in params.yaml -> metric."""
    for path, metric in used.items():
        if metric not in names(task):
            raise ValueError(f"{path}: {metric} is not a metric of a {task}; use one of {', '.join(names(task))}")


class Threshold(Strict):
    """How the decision threshold is chosen on the validation rows."""

    maximise: Literal["f1", "recall"] = "f1"
    min_precision: Share | None = None

    @model_validator(mode="after")
    def _recall_needs_precision(self) -> Self:
        if (self.maximise == "recall") != (self.min_precision is not None):
            raise ValueError("min_precision belongs to maximise: recall, which needs it")
        return self


class Selection(Strict):
    """The criterion for the winner and, for a classification, the rule for its threshold (f1 if not given)."""

    metric: MetricName
    threshold: Threshold | None = None


class SelectionParams(FeatureParams):
    """The sections that stages from `select` on need."""

    model_name: ModelName
    selection: Selection

    @model_validator(mode="after")
    def _selection_fits_task(self) -> Self:
        check_metrics_fit(self.task, {"selection.metric": self.selection.metric})
        if self.task == "regression" and self.selection.threshold is not None:
            raise ValueError("selection.threshold: belongs to task classification")
        return self
