"""Columns as the schema types them, where nothing is lost by it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config.table_schema import ColumnType

ARROW: dict[ColumnType, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "category": pa.string(),
    "identifier": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("s"),
}
MISSING = pa.array(["", "NA", "N/A", "NaN", "nan", "None", "NULL", "null"])  # in text, for all but categories
TIMES = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us") for zone in (None, "UTC")]


def lossless(column: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray | None:
    """The column in the type of the schema, or None where a value would change.

    A time zone is converted to UTC. Parts of a second keep their unit: the result is then timestamp[ms] or [us].
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    try:
        if kind in ("category", "identifier"):
            return _to_text(column)
        if pa.types.is_string(column.type):
            column = pc.if_else(pc.is_in(column, MISSING), pa.scalar(None, pa.string()), column)
        if kind == "timestamp":
            return _to_time(column)
        if kind == "boolean":
            return _to_boolean(column)
        return _to_number(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _to_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Text, and whole numbers as they are written; a 7.0 might have been a 7 or a 7.0, so it stays a number."""
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    return None


def _to_number(column: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray | None:
    if pa.types.is_temporal(column.type):
        return None
    if kind == "integer" and pa.types.is_string(column.type):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            column = column.cast(pa.float64())  # "12.0"
    return column.cast(ARROW[kind])


def _to_boolean(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        if not pc.all(pc.is_in(column.cast(pa.float64()), pa.array([0.0, 1.0, None]))).as_py() and len(column):
            return None
        return column.cast(pa.int64()).cast(pa.bool_())
    if pa.types.is_temporal(column.type):
        return None
    return column.cast(pa.bool_())


def _to_time(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if pa.types.is_date(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        for unit in ("s", "ms", "us"):
            try:
                # Without a zone Arrow keeps the instant, which is UTC.
                return column.cast(pa.timestamp(unit, column.type.tz)).cast(pa.timestamp(unit))
            except pa.ArrowInvalid:
                continue
    if pa.types.is_string(column.type):
        for time in TIMES:
            try:
                return column.cast(time).cast(pa.timestamp(time.unit))
            except pa.ArrowInvalid:
                continue
    return None
