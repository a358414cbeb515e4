"""The columns of the prediction log of a model, as serving/log_rows.py writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.signature import Input, Signature

# A file whose rows have this many bytes on average, and a row group this many, would not fit in the memory of a scan.
_MAX_ROW_BYTES = 50_000
_MAX_GROUP_BYTES = 256_000_000
_EXACT = 2**53  # a double represents whole numbers up to this one exactly


def log_columns(signature: Signature) -> Mapping[str, str]:
    """Return field -> column of the log: an input with the name of another column is logged under another name."""
    reserved = {"time", "request_id", "release", "role", "key_name", score_column(signature), "latency_ms"}
    if signature.task == "classification":
        reserved.add("decision")
    names = reserved | set(signature.names)
    columns = {}
    for name in signature.names:
        column = name
        if name in reserved:
            while column in names:
                column = f"input_{column}"
        columns[name] = column
    return columns


def score_column(signature: Signature) -> str:
    """Return the column of the score."""
    return "probability" if signature.task == "classification" else "value"


def line_columns(signature: Signature) -> Mapping[str, str]:
    """Return column -> kind of a line of the log: text, number, integer, boolean, or time (seconds since 1970)."""
    columns = {"time": "time", **dict.fromkeys(("request_id", "release", "role", "key_name"), "text")}
    for item in signature.inputs:
        columns[log_columns(signature)[item.name]] = _line_kind(item)
    columns[score_column(signature)] = "number"
    if signature.task == "classification":
        columns["decision"] = "boolean"
    return {**columns, "latency_ms": "number"}


def _line_kind(item: Input) -> str:
    if item.sensitive or item.type == "category":
        return "text"
    if item.type == "integer":
        is_exact = all(limit is not None and abs(limit) <= _EXACT for limit in (item.min, item.max))
        return "integer" if is_exact else "number"
    return "time" if item.type == "timestamp" else item.type


def fits(path: Path, signature: Signature) -> bool | None:
    """Return whether a Parquet file has the columns of a window; None if it is unreadable or has enormous rows."""
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError):
        return None
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        if group.total_byte_size > max(_MAX_GROUP_BYTES, _MAX_ROW_BYTES * group.num_rows):
            return None
    if len(set(schema.names)) < len(schema.names):
        return False
    types = {field.name: field.type for field in schema}
    columns = log_columns(signature)
    return (
        "time" in types
        and pa.types.is_timestamp(types["time"])
        and all(name in types and _is_text(types[name]) for name in ("request_id", "release"))
        and all(name in types and _is_number(types[name]) for name in (score_column(signature), "latency_ms"))
        and all(
            columns[item.name] in types and _fits_input(item, types[columns[item.name]]) for item in signature.inputs
        )
    )


def _fits_input(item: Input, column_type: Any) -> bool:
    if item.sensitive or item.type == "category":
        return _is_text(column_type)
    if item.type == "timestamp":
        return bool(pa.types.is_timestamp(column_type))
    if item.type == "boolean":
        return bool(pa.types.is_boolean(column_type))
    return _is_number(column_type)


def _is_text(column_type: Any) -> bool:
    return bool(pa.types.is_string(column_type) or pa.types.is_large_string(column_type))


def _is_number(column_type: Any) -> bool:
    return bool(pa.types.is_integer(column_type) or pa.types.is_floating(column_type))
