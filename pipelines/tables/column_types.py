"""The column types of the schema: what each one is in Arrow, and whether a column of a table has it."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pyarrow as pa

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
