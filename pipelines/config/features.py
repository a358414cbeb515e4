"""Section `features`: what the model sees."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.config.base import Name, Strict, cross_check
from pipelines.config.table_schema import TableParams

# Columns that `predict` adds, and names that are used inside the graph.
_RESERVED = re.compile(
    r"probability|decision|value|reason|features|(raw|const)_\d+|estimator_.*|positive_class|one_column"
)
_NUMBERS = ("number", "integer")
_OPERAND_TYPES: dict[str | None, tuple[str, ...]] = {
    **dict.fromkeys(("log1p", "ratio", "difference", "product", "clip", "bucket"), _NUMBERS),
    **dict.fromkeys(("hour", "weekday", "is_weekend", "age_in_days"), ("timestamp",)),
    **dict.fromkeys((None, "is_missing"), (*_NUMBERS, "category", "boolean")),
    "differs": ("category",),
}
# What an operation needs besides `of`.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ratio", "difference", "product", "differs", "age_in_days"), ("to",)),
    "clip": ("min", "max"),
    "bucket": ("edges",),
}


class Derived(Strict):
    """A feature computed inside the model's graph from raw fields.

    Attributes:
        op: [the operation](features.md).
        of: the column that it takes.
        to: the other column of an operation that takes two.
        min, max: the bounds of `clip`.
        edges: ascending; `bucket` counts how many of them a number reaches.
    """

    op: Literal[
        "log1p",
        "hour",
        "weekday",
        "is_weekend",
        "ratio",
        "difference",
        "product",
        "clip",
        "bucket",
        "differs",
        "age_in_days",
        "is_missing",
    ]
    of: str
    to: str | None = None
    min: float | None = None
    max: float | None = None
    edges: Annotated[tuple[float, ...], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _has_its_arguments(self) -> Self:
        needed = _ARGUMENTS.get(self.op, ())
        for name in ("to", "min", "max", "edges"):
            if (getattr(self, name) is not None) != (name in needed):
                raise ValueError(f"{self.op} {'needs' if name in needed else 'takes no'} `{name}`")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError("min must be below max")
        if self.edges is not None and list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend")
        return self


class Features(Strict):
    """What the model sees: columns as they are, and derived features.

    Attributes:
        use: columns that the model sees as they are.
        derive: name -> a feature that the model's graph computes.
    """

    use: tuple[str, ...]
    derive: Mapping[Name, Derived] = {}


class FeatureParams(TableParams):
    """The sections that define the inputs of the model."""

    features: Features

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Raw request fields that the model reads, in the order of the schema."""
        needed = set(self.features.use)
        for derived in self.features.derive.values():
            needed |= {derived.of} | ({derived.to} if derived.to else set())
        return tuple(name for name in self.table.columns if name in needed)

    @cross_check
    def _features_are_named_once(self) -> Iterator[str]:
        names = [*self.features.use, *self.features.derive]
        if not names:
            yield "features: the model has no input; name a column in use, or derive a feature"
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            yield f"features: {', '.join(repeated)} is named twice"
        if reserved := [name for name in self.inputs if _RESERVED.fullmatch(name)]:
            yield f"features: {', '.join(reserved)} is a name that the model's graph or output uses"

    @cross_check
    def _operands_exist(self) -> Iterator[str]:
        hidden = {self.table.key, self.table.target, self.table.label_time}
        operands: list[tuple[str, str, str | None]] = [("use", name, None) for name in self.features.use]
        for feature, derived in self.features.derive.items():
            operands += [(feature, name, derived.op) for name in (derived.of, derived.to) if name]
        for feature, name, op in operands:
            if problem := self._problem(name, op, hidden):
                yield f"features: {feature} {problem}"

    def _problem(self, name: str, op: str | None, hidden: set[str | None]) -> str | None:
        """Return why an operation cannot take a column."""
        column, accepted = self.table.columns.get(name), _OPERAND_TYPES[op]
        if column is None:
            return f"names {name}, which is not in schema.columns"
        if name in hidden:
            return f"names {name}, which the model must not see"
        if column.known == "after":
            return f"names {name}, which is known only after the prediction"
        if column.type not in accepted:
            return f"takes {' or '.join(accepted)}, and {name} is of type {column.type}"
        if column.type == "timestamp" and column.nullable:
            return f"needs a time in every row, and {name} is nullable"
        return None
