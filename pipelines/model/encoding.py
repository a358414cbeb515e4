"""Encode raw values as the graph reads them. A missing number is NaN, a missing category the empty string."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.model.signature import Input

Columns = Mapping[str, npt.NDArray[Any]]
MAX_EPOCH = 2**40  # beyond any calendar; milliseconds passed as seconds are above it
MAX_NUMBER = float(np.finfo(np.float32).max)  # a larger number is infinite in float32
_FLOAT, _INT, _OBJECT = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.object_)
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# Tuples, because isinstance with a union would build the union for each value.
_NUMBERS = (int, float, np.integer, np.floating)
_NOT_NUMBERS = (bool, np.timedelta64)  # subclasses of number classes that are not numbers
_MAY_BE_NAN = (float, np.floating, datetime, np.datetime64)


def is_missing(value: Any) -> bool:
    """Return whether a raw value means missing: None, NaN, NaT or the empty text."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value
    # A value of another class may raise an error when it is compared.
    return isinstance(value, _MAY_BE_NAN) and bool(value != value)


def encode(item: Input, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Encode a column of raw values (None is missing) as the graph reads it.

    Args:
        values: shape (n,): objects, numbers, strings, or datetime64.

    Returns:
        float32, int64 (epoch seconds) or object strings, shape (n,).

    Raises:
        ValueError: if a value has another type, or a time is missing.
    """
    if item.type == "category":
        return np.array(["" if is_missing(value) else str(value) for value in values], dtype=_OBJECT)
    if item.type == "timestamp":
        if not np.issubdtype(values.dtype, np.datetime64):
            return np.array([to_epoch(value) for value in values], dtype=_INT)
        if np.isnat(values).any():
            raise ValueError("a time is missing")
        return values.astype("datetime64[s]").astype(_INT)
    if values.dtype == _OBJECT:
        values = np.array([math.nan if is_missing(value) else value for value in values], dtype=np.float64)
    return values.astype(_FLOAT)


def to_epoch(value: Any) -> int:
    """Return seconds since 1970, rounded down, of a datetime, date, ISO 8601 text or number; naive times are UTC.

    Raises:
        ValueError: if the value is not a time.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]").astype(np.int64).item() if not np.isnat(value) else math.nan
    if isinstance(value, datetime):
        # Integers throughout: far from 1970, a float cannot represent microseconds.
        return int((value - (_EPOCH_UTC if value.tzinfo else _EPOCH)) // _SECOND)
    if isinstance(value, date):
        return (value - _EPOCH.date()).days * 86_400
    if is_number(value) and (isinstance(value, int) or np.isfinite(value)):
        seconds: int = math.floor(value)
        return seconds
    raise ValueError("not a time")


def is_number(value: Any) -> bool:
    """Return whether a value is a number (a boolean is not)."""
    return isinstance(value, _NUMBERS) and not isinstance(value, _NOT_NUMBERS)


def cell_encoder(item: Input) -> Callable[[Any], npt.NDArray[Any]]:
    """Return the function that encodes one raw value of an input, to shape (1, 1)."""
    if item.type == "category":
        return lambda value: np.array("" if is_missing(value) else value, _OBJECT, ndmin=2)
    if item.type == "timestamp":
        return lambda value: np.array(to_epoch(value), _INT, ndmin=2)
    return lambda value: np.array(math.nan if value is None or isinstance(value, str) else value, _FLOAT, ndmin=2)
