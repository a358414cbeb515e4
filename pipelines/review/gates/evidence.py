"""What gates read: the measurements of one review."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.config.params import Params
from pipelines.model.critical_cases import CriticalResult
from pipelines.review.findings import DataError, GroupRow, Kind, MetricRow, SliceRow


@dataclass(frozen=True)
class ModelFiles:
    """A model file and its signature."""

    model: Path
    signature: Path


@dataclass(frozen=True)
class Evidence:
    """The measurements of a review.

    Attributes:
        data_errors: if there are any, no model was trained and nothing else was measured.
        head: None if the rows have errors.
        base: None if there is no base to compare with, or the head is not comparable with it.
        not_comparable: why the base's model cannot be scored on the head's rows, None if it can.
        rows: test rows that were scored.
        prevalence: share of positives in them; None for a regression.
    """

    params: Params
    kind: Kind = "comparison"
    data_errors: tuple[DataError, ...] = ()
    head: ModelFiles | None = None
    base: ModelFiles | None = None
    not_comparable: str | None = None
    rows: int = 0
    prevalence: float | None = None
    metrics: tuple[MetricRow, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
