"""Check the raw values of one row, as requests hold them, and describe what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.model.encoding import is_missing, is_number, to_epoch
from pipelines.model.signature import Input
from pipelines.model.value_rules import check_column


@cache
def _not_accepted() -> Any:
    """Return a column with a value of a type that no input takes: made when needed, because it imports pandas."""
    return pa.array([b""], pa.binary())


@dataclass(frozen=True)
class Rejection:
    """Why a row cannot be scored: the field, and what was expected of it. Never holds a sensitive value."""

    field: str
    reason: str


def check_value(item: Input, value: Any) -> Rejection | None:
    """Return why a raw value does not fit an input, or None if it fits."""
    column = check_column(item, _to_column(item, value))
    return None if column.accepted[0] else describe_rejection(item, bool(column.missing[0]), value)


def describe_rejection(item: Input, missing: bool, value: Any) -> Rejection:
    """Describe a value that was rejected; it is shown unless the input is sensitive."""
    if missing:
        source = ", computed as features/prepare.py does" if item.prepared else ""
        return Rejection(item.name, f"is missing; expected {item.expects()}{source}")
    shown = "" if item.sensitive else f" (got {_show(value)})"
    return Rejection(item.name, f"expected {item.expects()}{shown}")


def _show(value: Any) -> str:
    try:
        return repr(str(value)[:60])
    except Exception:  # any class may fail in its own way, and so does an integer of 5,000 digits
        return f"a {type(value).__name__} that cannot be shown"


def _to_column(item: Input, value: Any) -> Any:
    """Return a raw value as an Arrow column of one row.

    A text of a request is a text: for a number or boolean it is not accepted, unlike the text of a CSV.
    """
    if is_missing(value):
        return pa.nulls(1)
    try:
        if item.type == "category":
            return pa.array([value], pa.string()) if isinstance(value, str) else _not_accepted()
        if item.type == "timestamp":
            return _integer_column(to_epoch(value))
        if isinstance(value, bool | np.bool_):
            return pa.array([bool(value)])
        if not is_number(value):
            return _not_accepted()
        if isinstance(value, np.float32 | np.float16):
            return pa.array([np.float32(value)], pa.float32())
        return _integer_column(int(value)) if isinstance(value, int | np.integer) else pa.array([float(value)])
    except (ValueError, OverflowError):  # no time, no UTF-8, or an integer that no float can hold
        return _not_accepted()


def _integer_column(value: int) -> Any:
    return pa.array([value], pa.int64()) if -(2**63) <= value < 2**63 else pa.array([float(value)])
