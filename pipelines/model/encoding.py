"""Raw values as the graph reads them. Missing is NaN in a number and the empty string in a category."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.model.signature import Input

Columns = Mapping[str, npt.NDArray[Any]]
MAX_EPOCH = 2**40  # no calendar goes further, and milliseconds taken for seconds do
MAX_NUMBER = float(np.finfo(np.float32).max)  # beyond it the graph would see infinity
_FLOAT, _INT, _OBJECT = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.object_)
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# Tuples, because a union of classes would be built anew for each value.
_NUMBERS = (int, float, np.integer, np.floating)
_NO_NUMBERS = (bool, np.timedelta64)  # numbers by class only
_MAY_BE_NAN = (float, np.floating, datetime, np.datetime64)


def is_missing(value: Any) -> bool:
    """Whether a raw value stands for a missing one: None, NaN, NaT or the empty text."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value
    # Of other classes nothing is known, not even whether they can be compared.
    return isinstance(value, _MAY_BE_NAN) and bool(value != value)


def encode(item: Input, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn a column of raw values (None is missing) into what the graph takes.

    Args:
        values: shape (n,): objects, numbers, strings, or datetime64.

    Returns:
        float32, int64 (epoch seconds) or object strings, shape (n,).

    Raises:
        ValueError: if a value is not of the type, or a time is missing.
    """
    if item.type == "category":
        return np.array(["" if is_missing(value) else str(value) for value in values], dtype=_OBJECT)
    if item.type == "timestamp":
        return _encode_times(values)
    if values.dtype == _OBJECT:
        values = np.array([math.nan if is_missing(value) else value for value in values], dtype=np.float64)
    return values.astype(_FLOAT)


def _encode_times(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if np.issubdtype(values.dtype, np.datetime64):
        if np.isnat(values).any():
            raise ValueError("a time is missing")
        return values.astype("datetime64[s]").astype(np.int64)
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64)
    return np.array([to_epoch(value) for value in values], dtype=np.int64)


def to_epoch(value: Any) -> int:
    """Seconds since 1970, cut downwards, of a datetime, a date, ISO 8601 text or a number; naive times are UTC.

    Raises:
        ValueError: if it is no time.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]").astype(np.int64).item() if not np.isnat(value) else math.nan
    if isinstance(value, datetime):
        # Whole numbers all the way: a float has no microseconds left far from 1970.
        return int((value - (_EPOCH_UTC if value.tzinfo else _EPOCH)) // _SECOND)
    if isinstance(value, date):
        return (value - _EPOCH.date()).days * 86_400
    if is_number(value) and (isinstance(value, int) or np.isfinite(value)):
        seconds: int = math.floor(value)
        return seconds
    raise ValueError("not a time")


def _number_cell(value: Any) -> npt.NDArray[Any]:
    return np.array(math.nan if value is None or isinstance(value, str) else value, _FLOAT, ndmin=2)


def _category_cell(value: Any) -> npt.NDArray[Any]:
    return np.array("" if is_missing(value) else value, _OBJECT, ndmin=2)


def _time_cell(value: Any) -> npt.NDArray[Any]:
    return np.array(to_epoch(value), _INT, ndmin=2)


def is_number(value: Any) -> bool:
    """Whether a value is a number (a boolean is not)."""
    return isinstance(value, _NUMBERS) and not isinstance(value, _NO_NUMBERS)


_CELLS: dict[str, Callable[[Any], npt.NDArray[Any]]] = {"category": _category_cell, "timestamp": _time_cell}


def cell_encoder(item: Input) -> Callable[[Any], npt.NDArray[Any]]:
    """The function from a raw value to what the graph reads, of shape (1, 1)."""
    return _CELLS.get(item.type, _number_cell)
