"""The columns of the prediction log of a model, as serving/log_rows.py writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.signature import Input, Signature

# How the request ids begin that a rollout sends to its canary (pipelines/rollout/replay.py).
REPLAY = "mainline-replay-"
# A file whose rows have this many bytes on average, and a row group this many, would not fit in the memory of a scan.
_MAX_ROW_BYTES = 50_000
_MAX_GROUP_BYTES = 256_000_000
OPTIONAL = frozenset({"role", "key_name", "decision"})  # columns that a window does not need
ARROW = {
    "text": pa.string(),
    "number": pa.float64(),
    "integer": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us"),
}
"""Kind of a column -> its type in a window."""
_IS_NUMBER = (pa.types.is_integer, pa.types.is_floating)
_IS_TYPE: Mapping[str, Sequence[Any]] = {
    "text": (pa.types.is_string, pa.types.is_large_string),
    "number": _IS_NUMBER,
    "integer": _IS_NUMBER,
    "boolean": (pa.types.is_boolean,),
    "time": (pa.types.is_timestamp,),
}
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
    types = {field.name: field.type for field in schema}
    needed = {column: kind for column, kind in line_columns(signature).items() if column not in OPTIONAL}
    return len(types) == len(schema) and all(
        column in types and any(is_type(types[column]) for is_type in _IS_TYPE[kind]) for column, kind in needed.items()
    )
