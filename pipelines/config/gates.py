"""Sections `gates`, `slices` and `fairness`: what blocks a merge."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from pipelines.config.base import Count, Name, Positive, Seed, Share, Strict
from pipelines.config.selection import MetricName

_PERCENT = re.compile(r"\d+(\.\d+)?%")


def _is_tolerance(value: float | str) -> float | str:
    if _PERCENT.fullmatch(value) if isinstance(value, str) else value >= 0:
        return value
    raise ValueError("expected a number from 0 on, or a percentage such as '5%'")


Tolerance = Annotated[
    float | str,
    AfterValidator(_is_tolerance),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_PERCENT.pattern}$"}]}
    ),
]
"""A difference that is accepted: absolute (`0.01`), or a share of the base's distance from no skill (`5%`)."""
Ratio = Annotated[float, Field(gt=0, lt=1)]
Reason = Annotated[str, Field(pattern=r"\S", max_length=500)]
"""Why a person confirms something. It counts once: if none of the base's last 500 params.yaml gave it."""


class History(Strict):
    """Versions that the head is also compared with.

    Attributes:
        versions: how many of the newest versions.
        regression: metric -> tolerance.
    """

    versions: Count
    regression: Annotated[Mapping[MetricName, Tolerance], Field(min_length=1)]


class Gates(Strict):
    """Limits that block a merge.

    Attributes:
        headline: the metric that the report begins with.
        when_unclear: whether a gate that the test rows are too few for blocks, or is a warning.
        resamples: of the bootstrap behind every interval.
        seed: of the bootstrap.
        floors: metric -> minimum (maximum where lower is better).
        regression: metric -> [tolerance](#tolerances) of being worse than the base, such as `0.03` or `8%`.
        scoring_time_ratio: a row may take the head so many times as long as the base.
        max_model_mb: the largest size of `models/model.onnx`.
        max_changed_labels: the largest share of changed labels.
        max_lost_rows: the largest share of lost rows.
        max_repeated_rows: the largest share of new rows that equal a row on the other side of the split.
        plausible_gain: a gain of a larger share of what the base lacks to a perfect value is suspicious.
        history: null to compare with the base alone.
        allow_gain: why a gain is real that looks too good.
        allow_weaker: why the head may pass by weaker rules than the base's; counts only if the base never had it.
    """

    headline: MetricName
    when_unclear: Literal["block", "warn"]
    resamples: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed
    floors: Mapping[MetricName, float]
    regression: Mapping[MetricName, Tolerance]
    scoring_time_ratio: Positive
    max_model_mb: Positive
    max_changed_labels: Share = 0.005
    max_lost_rows: Share = 0.005
    max_repeated_rows: Share = 0.001
    plausible_gain: Share = 0.5
    history: History | None = None
    allow_gain: Reason | None = None
    allow_weaker: Reason | None = None


class SliceBy(Strict):
    """Rows by a column's values or by a range.

    Attributes:
        column: the column that slices.
        values: a slice for each of them; null for all values.
        low: of numbers: the lower end, which is included.
        high: of numbers: the upper end, which is not.
    """

    column: str
    values: tuple[str, ...] | None = None
    low: float | None = Field(default=None, alias="from")
    high: float | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.values is not None and (self.low is not None or self.high is not None):
            raise ValueError("a slice goes by values or by a range, not by both")
        return self


class Slices(Strict):
    """Parts of the table that must not get worse.

    Attributes:
        metric: that is computed for each slice.
        min_support: a slice of fewer rows is not judged.
        min_positives: nor one of fewer positives.
        floor: the minimum of the metric in every slice.
        tolerance: how much worse than the base a slice may be, such as `0.02` or `8%`.
        by: name -> slices.
    """

    metric: MetricName
    min_support: Count
    min_positives: Annotated[int, Field(ge=20)] = 20
    floor: float | None = None
    tolerance: Tolerance
    by: Mapping[Name, SliceBy]


class Fairness(Strict):
    """Limits of the ratio of the smallest to the largest group, for each sensitive category or boolean.

    Attributes:
        min_recall_ratio: of the recall.
        min_false_positive_ratio: of the false positive rate.
        min_support: a group of fewer rows is not judged.
        min_positives: nor one of fewer positives.
        min_selection_ratio: of the share of rows that are predicted positive (demographic parity).
        negligible_false_positive_rate: where the rates of all groups are shown to be at most this, and their ratio
            cannot be told, the gate passes.
    """

    min_recall_ratio: Ratio
    min_false_positive_ratio: Ratio
    min_selection_ratio: Ratio | None = None
    negligible_false_positive_rate: Share = 0.0
    min_support: Count
    min_positives: Count
