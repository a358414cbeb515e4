"""The column types of the schema: what each one is in Arrow, and casts to it that change no value."""

import itertools
from contextlib import suppress

import ibis.expr.datatypes as dt
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
# Texts that mean a missing value, except in categories and identifiers.
MISSING_WORDS = ("", "NA", "N/A", "NaN", "nan", "None", "NULL", "null")
MISSING = pa.array(MISSING_WORDS)
UNITS = ("s", "ms", "us")


def has_type(column: dt.DataType, expected: str, widened: bool = False) -> bool:
    """Return whether a column has a type of the schema.

    Args:
        expected: a type of the schema.
        widened: also accept any number as an integer or boolean, as a table of an older schema may hold it.
    """
    if widened and expected in ("integer", "boolean") and column.is_numeric():
        return True
    accepted: dict[str, bool] = {
        "number": column.is_numeric(),
        "integer": column.is_integer(),
        "category": column.is_string(),
        "identifier": column.is_string() or column.is_integer(),
        "timestamp": column.is_timestamp(),
        "boolean": column.is_boolean(),
    }
    return accepted[expected]


def cast_lossless(
    column: pa.ChunkedArray, kind: ColumnType, decimal: str = ".", date_format: str | None = None
) -> pa.ChunkedArray | None:
    """Return the column in a type of the schema, or None if a value would change.

    Args:
        decimal: the sign between a number and its decimals, in texts.
        date_format: of times in texts; ISO 8601 if it is None.

    Times with a zone become UTC. Fractions of a second are kept: the result is then timestamp[ms] or timestamp[us].
    """
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        if kind in ("category", "identifier"):
            return _to_text(column)
        if pa.types.is_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.is_in(column, MISSING), pa.scalar(None, pa.string()), column)
        if kind == "timestamp":
            return _to_time(column, date_format)
        if kind == "boolean":
            return _to_boolean(column)
        if pa.types.is_string(column.type) and decimal == ",":
            if pc.any(pc.match_substring(column, ".")).as_py():
                return None
            column = pc.replace_substring(column, ",", ".")
        return _to_number(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _to_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cast text and whole numbers; a decimal stays a number, since its text is not known: 7.0 may have been 7."""
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


def _parse_times(column: pa.ChunkedArray, date_format: str) -> pa.ChunkedArray:
    """Parse times by DuckDB: Arrow's strptime takes the 31st of February for the 3rd of March."""
    import duckdb

    with duckdb.connect() as connection:
        connection.register("texts", pa.table({"text": column}))
        query = "SELECT try_strptime(text, $format) AS time FROM texts"
        return connection.sql(query, params={"format": date_format}).to_arrow_table()["time"]


def _to_time(column: pa.ChunkedArray, date_format: str | None) -> pa.ChunkedArray | None:
    if date_format and pa.types.is_string(column.type):
        parsed = _parse_times(column, date_format)
        # %Y takes 25 for the year 25.
        if parsed.null_count > column.null_count or (pc.min(pc.year(parsed)).as_py() or 1000) < 1000:
            return None
        column = parsed
    if pa.types.is_date(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.timestamp("s"))
    zones = (column.type.tz,) if pa.types.is_timestamp(column.type) else (None, "UTC")
    if pa.types.is_timestamp(column.type) or pa.types.is_string(column.type):
        for unit, zone in itertools.product(UNITS, zones):
            with suppress(pa.ArrowInvalid):
                # Casting to a type without a zone keeps the instant, in UTC.
                return column.cast(pa.timestamp(unit, zone)).cast(pa.timestamp(unit))
    return None
