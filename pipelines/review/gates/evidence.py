"""What gates read: the measurements of one review."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config.params import Params
from pipelines.model.critical_cases import CriticalResult
from pipelines.review.compare import Compared
from pipelines.review.findings import DataError, GroupRow, HistoryRow, Kind, MetricRow, SliceRow
from pipelines.review.row_changes import RowChanges
from pipelines.tables.leak_scores import LeakScores


@dataclass(frozen=True)
class Evidence:
    """The measurements of a review.

    Attributes:
        data_errors: if there are any, no model was trained and nothing else was measured.
        head: the model file, with signature.json beside it; None if the rows have errors.
        base: the same; None if there is no base to compare with, or the head is not comparable with it.
        not_comparable: why the base's model cannot be scored on the head's rows, None if it can.
        compared: targets and scores of the test rows, from which a gate can measure what no other field holds.
        rows: test rows that were scored.
        test_rows: rows with a label that `params.split` chooses for the test.
        prevalence: share of positives in them; None for a regression.
        importance: input -> loss of the headline metric when the input is shuffled.
        new_inputs: inputs that the base's model does not have; empty without a base.
        leak_scores: None if neither the rows nor the inputs changed.
        allowed_gain: a reason in `gates.allow_gain` that the base never had, or the empty text.
    """

    params: Params
    kind: Kind = "comparison"
    data_errors: tuple[DataError, ...] = ()
    head: Path | None = None
    base: Path | None = None
    not_comparable: str | None = None
    compared: Compared | None = None
    rows: int = 0
    test_rows: int = 0
    prevalence: float | None = None
    metrics: tuple[MetricRow, ...] = ()
    history: tuple[HistoryRow, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    row_changes: RowChanges = field(default_factory=RowChanges)
    importance: Mapping[str, float] = field(default_factory=dict)
    new_inputs: tuple[str, ...] = ()
    leak_scores: LeakScores | None = None
    allowed_gain: str = ""
