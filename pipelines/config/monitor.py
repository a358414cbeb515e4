"""Section `monitor`: how the deployed model is watched, and what follows from an alarm."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from pipelines.config.base import Count, Name, Positive, Strict
from pipelines.config.gates import Tolerance

_RATE = re.compile(r"one in ([1-9]\d*) passes")


def _is_rate(text: str) -> str:
    if _RATE.fullmatch(text):
        return text
    raise ValueError("expected words such as 'one in 52 passes'")


Rate = Annotated[str, AfterValidator(_is_rate), WithJsonSchema({"type": "string", "pattern": f"^{_RATE.pattern}$"})]


def passes_between_alarms(rate: str) -> int:
    """Return 52 for `one in 52 passes`: the mean number of passes between two false alarms."""
    match = _RATE.fullmatch(rate)
    assert match
    return int(match[1])


class Labels(Strict):
    """Where the labels of predictions arrive.

    Attributes:
        path: a CSV or Parquet file, folder, pattern or URL.
        by: columns that the table and the prediction log share, by which a label finds its prediction.
        label: the column of the label.
        known_at: the column of the time when the label became known; of several labels the newest counts.
    """

    path: str
    by: Annotated[tuple[Name, ...], Field(min_length=1)] = ("request_id",)
    label: Name = "label"
    known_at: Name | None = "known_at"


class Quality(Strict):
    """The alarm on the quality of matured predictions.

    Attributes:
        tolerance: how far the mean loss may be above the promise of the test rows; a number, or a share of the promise.
        false_alarms: at most so many false alarms on average.
    """

    tolerance: Tolerance = "10%"
    false_alarms: Rate = "one in 200 passes"


class Monitor(Strict):
    """How the deployed model is watched.

    Attributes:
        every_days: length of a pass; monitor.yml runs at least as often.
        min_rows: a pass with fewer predictions is not judged.
        false_alarms: at most so many false alarms of drift, input checks and volume together, on average.
        tolerance: PSI per input that is natural, for a profile that holds no variation.
        labels: null if labels do not come back.
        quality: the alarm on the quality of matured predictions.
        rollback: open the pull request of a rollback on a quality alarm, if the previous version is shown to have a
            smaller loss on the same rows, and not shown to be above its own limit.
        retrain: open the pull request of a retraining on a quality alarm.
        evidently: presets of the Evidently page; none for no page.
    """

    every_days: Count = 7
    min_rows: Count = 500
    false_alarms: Rate = "one in 52 passes"
    tolerance: Positive = 0.005
    labels: Labels | None = None
    quality: Quality = Quality()
    retrain: bool = True
    rollback: bool = False
    evidently: tuple[
        Literal["DataDriftPreset", "DataSummaryPreset", "ClassificationPreset", "RegressionPreset"], ...
    ] = ("DataDriftPreset",)
