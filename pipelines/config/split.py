"""Section `split`: which rows train, select and test."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.config.base import Count, Strict, cross_check
from pipelines.config.table_schema import TableParams


class SplitByTime(Strict):
    """Test is the newest matured days, validation the days before, training all that is older.

    Attributes:
        by: `time` or `hash`.
        test_days: how many of the newest days test.
        validation_days: how many days before them choose the winner and the threshold.
    """

    by: Literal["time"]
    test_days: Count
    validation_days: Count


class SplitByHash(Strict):
    """A hash of a row's key (or of another column) decides its side, so the side never changes.

    Attributes:
        by: `time` or `hash`.
        salt: any text; another one draws other rows.
        column: whose hash decides; rows with an equal value stay together. null for the key.
        test: the share of rows that test.
        validation: the share of rows that choose the winner and the threshold.
    """

    by: Literal["hash"]
    salt: str
    column: str | None = None
    test: Annotated[float, Field(gt=0, lt=0.9)]
    validation: Annotated[float, Field(gt=0, lt=0.9)]

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> Self:
        if self.test + self.validation >= 0.95:
            raise ValueError("test and validation leave no rows to train on")
        return self


Split = Annotated[SplitByTime | SplitByHash, Field(discriminator="by")]


class SplitParams(TableParams):
    """The sections that the split needs."""

    split: Split

    @cross_check
    def _split_columns_exist(self) -> Iterator[str]:
        if isinstance(self.split, SplitByTime) and self.table.event_time is None:
            yield "split: by time needs schema.event_time; without one use by: hash"
        if isinstance(self.split, SplitByHash) and (self.split.column or self.table.key) not in self.table.columns:
            yield f"split.column: {self.split.column} is not in schema.columns"
