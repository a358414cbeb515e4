"""What the tests of the prediction log share."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow.parquet as pq

from serving import parquet
from serving.log_columns import Entry, LogColumns
from serving.rows import RowReader
from serving.signature import Signature

NEW_YEAR = 1_767_225_600.0  # 2026-01-01 in UTC


def columns_of(signature: Signature, salt: str | None = "pepper") -> LogColumns:
    """Return the columns of a log of release 0123456789ab."""
    return LogColumns(signature, "0123456789ab", "champion", salt)


def entry(signature: Signature, *rows: Any, time: float = NEW_YEAR, name: str = "r", score: float = 0.75) -> Entry:
    """Return an entry of these rows with the ids `name`-0, `name`-1, ..."""
    raw = json.dumps(rows).encode()
    count, columns = RowReader(signature, 100_000).read_batch(raw)
    return Entry(time, [f"{name}-{i}" for i in range(count)], columns, [score] * count, 1.5, len(raw))


def read(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file."""
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows


def logged(signature: Signature, *entries: Entry, salt: str | None = "pepper") -> list[dict[str, Any]]:
    """Return the rows of a log file with these entries."""
    return read(parquet.encode(columns_of(signature, salt).make(entries)))
