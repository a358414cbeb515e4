"""The scorer's check for whole batches: `Scorer.check` said of each row at once, and what fits encoded.

A value of an Arrow column stands for the raw value that `raw_values` gives. Text is typed by the signature, in CSV and
Parquet alike: blanks around it are dropped, nothing is missing, a number may stand for a time (seconds since 1970),
and a whole number in a column of categories is the text of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.model.encoding import MAX_EPOCH, MAX_NUMBER, Columns, is_missing, to_epoch
from pipelines.model.signature import Input

Mask = npt.NDArray[np.bool_]
_BLANKS = " \t\n\r\v\f"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_IS_NUMBER = re.compile(_NUMBER)
_TIME = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
_NOT_A_TIME = -(2**63)  # as NumPy marks it
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Checked:
    """A batch of n rows, of which g fit the signature.

    Attributes:
        good: shape (n,), whether the scorer takes the row.
        columns: the good rows as the scorer takes them, shape (g,) each.
    """

    good: Mask
    columns: Columns


def check(batch: Any, inputs: Sequence[Input]) -> Checked:
    """Check and encode a record batch that has a column for each input."""
    found = [_examine(item, _plain(batch.column(item.name))) for item in inputs]
    good = np.ones(len(batch), dtype=bool)
    for fits, _ in found:
        good &= fits
    columns = {item.name: _encoded(values, good) for item, (_, values) in zip(inputs, found, strict=True)}
    return Checked(good, columns)


def raw_values(item: Input, column: Any) -> list[Any]:
    """The values of a column as `Scorer.check` takes them, shape (n,)."""
    array = _plain(column)
    kind = array.type
    if pa.types.is_string(kind):
        return [None if text is None else typed(item, text) for text in array.to_pylist()]
    if pa.types.is_integer(kind) and item.type == "category":
        return list(array.cast(pa.string()).to_pylist())
    if pa.types.is_timestamp(kind):
        return list(array.cast(pa.timestamp(kind.unit)).to_numpy(zero_copy_only=False))
    if kind == pa.float32():
        return [None if value is None else np.float32(value) for value in array.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or kind == pa.float64() or pa.types.is_null(kind):
        return list(array.to_pylist())
    return [_Alien(kind) if there else None for there in array.is_valid().to_pylist()]


def typed(item: Input, text: str) -> Any:
    """What a text means in a column of this type; itself, where it means nothing."""
    if item.type == "category":
        return text
    text = text.strip(_BLANKS)
    if not text:
        return None
    if item.type == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if item.type == "timestamp" and re.fullmatch("[0-9]{8}", text):
        return text  # 20260131 is a day; as seconds it would be one of 1970
    if _IS_NUMBER.fullmatch(text):
        # A whole number is shown as it was written, where a reason shows it.
        return int(text) if text.lstrip("+-").isdigit() and len(text) < 19 else float(text)
    return math.nan if text.lower() == "nan" else text


class _Alien:
    """A value of a kind that no input takes."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __str__(self) -> str:
        return f"a value of type {self._kind}"


def _plain(array: Any) -> Any:
    """The column in one of few types: string, timestamp, float32, float64, integers, or what no input takes."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.string())
    if pa.types.is_decimal(array.type):
        return array.cast(pa.float64())
    if pa.types.is_float16(array.type):
        return array.cast(pa.float32())
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    if pa.types.is_timestamp(array.type):
        not_a_time = pc.equal(array.cast(pa.int64()), _NOT_A_TIME)
        return pc.if_else(not_a_time, pa.scalar(None, array.type), array)
    return array


def _examine(item: Input, array: Any) -> tuple[Mask, Any]:
    """Which values fit, and all values almost as the graph takes them (whatever, where they do not fit)."""
    if item.type == "category":
        return _categories(item, array)
    if item.type == "timestamp":
        return _times(array)
    return _numbers(item, array)


def _encoded(values: Any, good: Mask) -> npt.NDArray[Any]:
    if isinstance(values, np.ndarray):
        picked = values[good]
        return picked if picked.dtype == np.int64 else picked.astype(np.float32)
    texts = values if good.all() else values.filter(pa.array(good))
    return np.asarray(texts.to_numpy(zero_copy_only=False), dtype=object)


def _categories(item: Input, array: Any) -> tuple[Mask, Any]:
    if pa.types.is_integer(array.type):
        array = array.cast(pa.string())
    if not pa.types.is_string(array.type):
        absent = pc.is_null(array, nan_is_null=True)
        return _mask(absent) & item.nullable, pa.array([""] * len(array), pa.string())
    texts = array.fill_null("")
    present = pc.not_equal(texts, "")
    if item.allowed is not None:
        fits = pc.is_in(texts, pa.array(item.allowed, pa.string()))
    else:
        fits = pc.invert(pc.match_substring(texts, "\0"))
    return np.where(_mask(present), _mask(fits), item.nullable), texts


def _numbers(item: Input, array: Any) -> tuple[Mask, Any]:
    kind = array.type
    wrong = np.zeros(len(array), dtype=bool)
    if pa.types.is_string(kind):
        values, wrong = _parsed(item, array)
    elif pa.types.is_boolean(kind) and item.type == "boolean":
        values = _floats(array.cast(pa.int8()))
    elif pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64()):
        values = _floats(array)
    else:
        values, wrong = np.full(len(array), np.nan), _mask(array.is_valid())
    absent = np.isnan(values)
    with np.errstate(invalid="ignore", over="ignore"):
        fits = np.abs(values) <= MAX_NUMBER
        if item.type == "boolean":
            fits &= (values == 0) | (values == 1)
        if item.type == "integer":
            fits &= values == np.trunc(values)
        # NumPy compares a float32 with a plain number in its own precision, as the scorer does.
        if item.min is not None:
            fits &= values >= item.min
        if item.max is not None:
            fits &= values <= item.max
    return np.where(absent, item.nullable, fits) & ~wrong, values


def _floats(array: Any) -> npt.NDArray[Any]:
    """Floats of shape (n,), NaN where null; float32 stays as it is."""
    kind = array.type if array.type == pa.float32() else pa.float64()
    filled = array.cast(kind, safe=False).fill_null(math.nan)
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _parsed(item: Input, texts: Any) -> tuple[npt.NDArray[np.float64], Mask]:
    """Numbers of texts, NaN where missing, and which of them mean none."""
    with suppress(pa.ArrowInvalid):  # where one of them is not just a number, they are looked at one by one
        values = _floats(texts.cast(pa.float64()))
        if np.isnan(values).sum() == texts.null_count:
            return values, np.zeros(len(texts), dtype=bool)
    raw = [None if text is None else typed(item, text) for text in texts.to_pylist()]
    wrong = np.array([isinstance(value, str) for value in raw], dtype=bool)
    numbers = [math.nan if value is None or isinstance(value, str) else value for value in raw]
    return np.array(numbers, dtype=np.float64), wrong


def _times(array: Any) -> tuple[Mask, Any]:
    """Seconds since 1970; nothing is missing in a column of times."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        counts = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        seconds = np.floor_divide(counts, _PER_SECOND[kind.unit])
        return _mask(array.is_valid()) & (seconds > -MAX_EPOCH) & (seconds < MAX_EPOCH), seconds
    if pa.types.is_string(kind):
        return _parsed_times(array)
    if pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64()):
        values = np.floor(_floats(array).astype(np.float64))
        fits = np.abs(values) < MAX_EPOCH  # NaN is not
        return fits, np.where(fits, values, 0).astype(np.int64)
    return np.zeros(len(array), dtype=bool), np.zeros(len(array), dtype=np.int64)


def _parsed_times(texts: Any) -> tuple[Mask, Any]:
    for form, kind in ((_TIME + "$", pa.timestamp("us")), (_TIME + _ZONE, pa.timestamp("us", "UTC"))):
        if pc.all(pc.match_substring_regex(texts, form), skip_nulls=True).as_py():
            try:
                return _times(texts.cast(kind))
            except pa.ArrowInvalid:
                break  # one of them is no day of the calendar
    item = Input("time", "timestamp")
    found = [_epoch(None if text is None else typed(item, text)) for text in texts.to_pylist()]
    fits = np.array([seconds is not None for seconds in found], dtype=bool)
    return fits, np.array([seconds or 0 for seconds in found], dtype=np.int64)


def _epoch(value: Any) -> int | None:
    """Seconds since 1970, or None for what is no time."""
    if is_missing(value):
        return None
    try:
        seconds = to_epoch(value)
    except ValueError:
        return None
    return seconds if abs(seconds) < MAX_EPOCH else None


def _mask(array: Any) -> Mask:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)
