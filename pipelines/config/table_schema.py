"""Sections `task` and `schema`: the columns of the table, and the roles that some of them have."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.config.base import Strict, cross_check

ColumnType = Literal["number", "integer", "category", "timestamp", "identifier", "boolean"]


class Column(Strict):
    """What a column of the table may hold. Timestamps are UTC; both ends of a range are included.

    Attributes:
        type: [what it holds](#types).
        min: the smallest number.
        max: the largest number.
        allowed: the categories; null for any.
        nullable: whether values may be missing.
        sensitive: whether the values are masked in reports and errors; such a category or boolean has fairness gates.
        known: `after` if the value is known only after the prediction, so that no feature may use it.
        prepared: whether features/prepare.py makes the column; data/ does not have it, and a request must.
    """

    type: ColumnType
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = Field(default=None, min_length=1)
    nullable: bool = False
    sensitive: bool = False
    known: Literal["after"] | None = None
    prepared: bool = False

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.type not in ("number", "integer") and (self.min is not None or self.max is not None):
            raise ValueError("min and max belong to type number or integer")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        if self.allowed is not None and self.type != "category":
            raise ValueError("allowed belongs to type category")
        if self.allowed and (len(set(self.allowed)) < len(self.allowed) or "" in self.allowed):
            raise ValueError("allowed values must be different from each other and not empty (missing is `nullable`)")
        return self


class Table(Strict):
    """The columns of the table and their roles.

    Attributes:
        key: the column that names a row; its values are unique.
        target: the column that is predicted.
        positive: the class, as text, whose probability the model returns; of a classification.
        negative: `rest` makes one class of all values of the target but `positive`.
        event_time: when the row happened; the split by time, drift and retraining need it.
        label_time: when the label became known.
        label_delay_days: days from the event until its label is final; younger rows are not used.
        columns: name -> what the column may hold.
    """

    key: str
    target: str
    positive: str | None = None
    negative: Literal["rest"] | None = None
    event_time: str | None = None
    label_time: str | None = None
    label_delay_days: Annotated[int, Field(ge=0)] = 0
    columns: Mapping[str, Column]

    @cross_check
    def _roles_fit_columns(self) -> Iterator[str]:
        for name in self.columns:
            # Column names are JSON keys in requests; the service refuses a signature with such names.
            if not name.isprintable() or '"' in name or "\\" in name or not name:
                reason = "it is empty, or has a quote, backslash or control character"
                yield f"{name!r} is not a column name: {reason}"
        for role in ("key", "target", "event_time", "label_time"):
            name = getattr(self, role)
            if name is None:
                continue
            if name not in self.columns:
                yield f"{role} names {name}, which is not among columns"
            elif self.columns[name].prepared:
                yield f"{role} names {name}, which is prepared; it must be a column of data/"
            elif role.endswith("_time") and self.columns[name].type != "timestamp":
                yield f"{role} names {name}, which must be of type timestamp"
        if self.label_delay_days and self.event_time is None:
            yield "label_delay_days needs event_time"

    @property
    def prepared(self) -> tuple[str, ...]:
        """Columns that features/prepare.py makes."""
        return tuple(name for name, column in self.columns.items() if column.prepared)

    @property
    def sensitive(self) -> frozenset[str]:
        """Columns whose values never appear in a report, comment or error."""
        return frozenset(name for name, column in self.columns.items() if column.sensitive)


class TableParams(Strict):
    """The sections that define the table and the target.

    Attributes:
        task: what is predicted: one of two classes, or a number.
    """

    task: Literal["classification", "regression"]
    table: Table = Field(alias="schema")

    @cross_check
    def _target_fits_task(self) -> Iterator[str]:
        target_type = self.table.columns[self.table.target].type
        is_regression = self.task == "regression"
        class_roles = [role for role in ("positive", "negative") if getattr(self.table, role) is not None]
        if is_regression and target_type not in ("number", "integer"):
            yield "schema.target: a regression needs a number or an integer"
        if is_regression and class_roles:
            yield f"schema.{class_roles[0]}: belongs to task classification"
        if not is_regression and target_type not in ("boolean", "integer", "category"):
            yield "schema.target: a class must be of type boolean, integer or category"
        if not is_regression and self.table.positive is None:
            yield "schema.positive: is missing; it names the class whose probability is predicted"
