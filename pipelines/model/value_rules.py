"""The rules of request values: type, range, allowed values and times, for whole Arrow columns and for one row.

Text is read by the type of the input, in CSV and Parquet alike: blanks around it are dropped, empty text is missing, a
number may stand for a time (seconds since 1970), and a whole number in a column of categories is its text. A single
value is checked as a column of one row, and the service has rules of its own: tests compare the two.
"""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.model.encoding import MAX_EPOCH, MAX_NUMBER, Columns, is_missing, is_number, to_epoch
from pipelines.model.signature import Input

Mask = npt.NDArray[np.bool_]
_BLANKS = " \t\n\r\v\f"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TIME = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
_NOT_A_TIME = -(2**63)  # NumPy's marker of a missing time
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class CheckedColumn:
    """The result for a column of n values; all attributes have shape (n,)."""

    accepted: Mask  # whether the scorer takes the value
    missing: Mask
    values: Any  # nearly as the graph takes them; arbitrary where they are not accepted


@dataclass(frozen=True)
class CheckedBatch:
    """The result for a batch of n rows, of which m are accepted."""

    accepted: Mask  # shape (n,)
    encoded: Columns  # the accepted rows as the scorer takes them, shape (m,) each
    columns: Mapping[str, CheckedColumn]  # for each input


def check_batch(batch: Any, inputs: Sequence[Input]) -> CheckedBatch:
    """Check and encode a record batch that has a column for each input."""
    columns = {item.name: check_column(item, batch.column(item.name)) for item in inputs}
    accepted = np.logical_and.reduce([column.accepted for column in columns.values()])
    encoded = {name: _encode_accepted(column.values, accepted) for name, column in columns.items()}
    return CheckedBatch(accepted, encoded, columns)


def check_column(item: Input, column: Any) -> CheckedColumn:
    """Check the values of an input, in an Arrow array of any type."""
    array = _simplify(column)
    if item.type == "category":
        return _check_categories(item, array)
    if item.type == "timestamp":
        return _check_times(array)
    return _check_numbers(item, array)


def read_text(item: Input, text: str) -> Any:
    """Return the value that a text means for an input; the text itself if it means none."""
    if item.type == "category":
        return text
    text = text.strip(_BLANKS)
    if not text:
        return None
    if item.type == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if item.type == "timestamp" and re.fullmatch("[0-9]{8}", text):
        return text  # 20260131 is a day; as seconds it would be a time in 1970
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() and len(text) < 19 else float(text)
    return math.nan if text.lower() == "nan" else text


def _read_texts(item: Input, texts: Any) -> list[Any]:
    return [None if text is None else read_text(item, text) for text in texts.to_pylist()]


def _simplify(array: Any) -> Any:
    """Reduce the types of a column: to string, timestamp, float32, float64, integers, or one that no input takes."""
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


def _encode_accepted(values: Any, accepted: Mask) -> npt.NDArray[Any]:
    if isinstance(values, np.ndarray):
        selected = values[accepted]
        return selected if selected.dtype == np.int64 else selected.astype(np.float32)
    texts = values if accepted.all() else values.filter(pa.array(accepted))
    return np.asarray(texts.to_numpy(zero_copy_only=False), dtype=object)


def _check_categories(item: Input, array: Any) -> CheckedColumn:
    if pa.types.is_integer(array.type):
        array = array.cast(pa.string())
    if not pa.types.is_string(array.type):
        missing = _mask(pc.is_null(array, nan_is_null=True))
        return CheckedColumn(missing & item.nullable, missing, pa.array([""] * len(array), pa.string()))
    texts = array.fill_null("")
    missing = _mask(pc.equal(texts, ""))
    if item.allowed is not None:
        fits = pc.is_in(texts, pa.array(item.allowed, pa.string()))
    else:
        fits = pc.invert(pc.match_substring(texts, "\0"))  # texts of a graph end at a NUL
    return CheckedColumn(np.where(missing, item.nullable, _mask(fits)), missing, texts)


def _check_numbers(item: Input, array: Any) -> CheckedColumn:
    kind = array.type
    wrong = np.zeros(len(array), dtype=bool)
    if pa.types.is_string(kind):
        values, wrong = _parse_numbers(item, array)
    elif pa.types.is_boolean(kind) and item.type == "boolean":
        values = _to_floats(array.cast(pa.int8()))
    elif _is_number_type(kind):
        values = _to_floats(array)
    else:
        values, wrong = np.full(len(array), np.nan), _mask(array.is_valid())
    with np.errstate(invalid="ignore", over="ignore"):
        fits = np.abs(values) <= MAX_NUMBER
        if item.type == "boolean":
            fits &= (values == 0) | (values == 1)
        if item.type == "integer":
            fits &= values == np.trunc(values)
        # NumPy rounds the limit to float32 for float32 values: the float32 of 0.01 is below the float64 of 0.01.
        if item.min is not None:
            fits &= values >= item.min
        if item.max is not None:
            fits &= values <= item.max
    missing = np.isnan(values) & ~wrong
    return CheckedColumn(np.where(missing, item.nullable, fits & ~wrong), missing, values)


def _is_number_type(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind)) or kind in (pa.float32(), pa.float64())


def _to_floats(array: Any) -> npt.NDArray[Any]:
    """Convert to floats of shape (n,), NaN where null; float32 stays float32."""
    kind = array.type if array.type == pa.float32() else pa.float64()
    filled = array.cast(kind, safe=False).fill_null(math.nan)
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _parse_numbers(item: Input, texts: Any) -> tuple[npt.NDArray[np.float64], Mask]:
    """Return the numbers of texts, NaN where missing, and a mask of the texts that are not numbers."""
    with suppress(pa.ArrowInvalid):  # if any text is not a plain number, each is read by itself
        values = _to_floats(texts.cast(pa.float64()))
        if np.isnan(values).sum() == texts.null_count:
            return values, np.zeros(len(texts), dtype=bool)
    raw = _read_texts(item, texts)
    wrong = np.array([isinstance(value, str) for value in raw], dtype=bool)
    numbers = [math.nan if value is None or isinstance(value, str) else value for value in raw]
    return np.array(numbers, dtype=np.float64), wrong


def _check_times(array: Any) -> CheckedColumn:
    """Check times, and convert them to whole seconds since 1970; a time cannot be missing."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        counts = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        seconds = np.floor_divide(counts, _PER_SECOND[kind.unit])
        valid = _mask(array.is_valid())
        return CheckedColumn(valid & (seconds > -MAX_EPOCH) & (seconds < MAX_EPOCH), ~valid, seconds)
    if pa.types.is_string(kind):
        return _parse_times(array)
    if _is_number_type(kind):
        values = np.floor(_to_floats(array).astype(np.float64))
        fits = np.abs(values) < MAX_EPOCH  # False for NaN
        return CheckedColumn(fits, np.isnan(values), np.where(fits, values, 0).astype(np.int64))
    zeros = np.zeros(len(array), dtype=np.int64)
    return CheckedColumn(zeros.astype(bool), ~_mask(array.is_valid()), zeros)


def _parse_times(texts: Any) -> CheckedColumn:
    for form, kind in ((_TIME + "$", pa.timestamp("us")), (_TIME + _ZONE, pa.timestamp("us", "UTC"))):
        if pc.all(pc.match_substring_regex(texts, form), skip_nulls=True).as_py():
            try:
                return _check_times(texts.cast(kind))
            except pa.ArrowInvalid:
                break  # one of them is not a day of the calendar
    raw = _read_texts(Input("time", "timestamp"), texts)
    seconds = np.full(len(raw), MAX_EPOCH)
    for row, value in enumerate(raw):
        with suppress(ValueError):  # it is not a time
            seconds[row] = max(-MAX_EPOCH, min(to_epoch(value), MAX_EPOCH))
    missing = np.array([is_missing(value) for value in raw], dtype=bool)
    return CheckedColumn(np.abs(seconds) < MAX_EPOCH, missing, seconds)


def _mask(array: Any) -> Mask:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


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
