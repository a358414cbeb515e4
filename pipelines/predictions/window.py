"""The predictions of one release in one span of time, each request id once, without the rows that cannot be used."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.encoding import MAX_NUMBER
from pipelines.model.signature import Input, Signature
from pipelines.predictions.log import fetch_files
from pipelines.predictions.log_schema import log_columns, score_column
from pipelines.tables.data import connect
from pipelines.tables.locations import Location

# Columns of a window besides the inputs, whose names can be any.
TIME, REQUEST_ID, LATENCY, SCORE = "__time", "__request_id", "__latency_ms", "__score"
_RELEASE = "__release"
MAX_TEXT = 1_000
MEMORY = "700MB"
_OTHER_RELEASE, _OTHER_SCHEMA = "rows of another release", "rows of another schema"
UNREADABLE, _REPEATED = "files that cannot be read", "rows with a repeated request id"
# These are expected while a service is exchanged, or when a client tries again; all others are errors of the log.
HARMLESS = frozenset({_OTHER_RELEASE, _REPEATED})


@dataclass(frozen=True)
class Window:
    """The predictions of one release from `start` (inclusive) to `end` (exclusive), UTC.

    Attributes:
        table: one row a prediction: each input by its name (hashes, if it is sensitive), and the columns TIME,
            REQUEST_ID, LATENCY and SCORE.
        rows: of the table.
        set_aside: reason -> rows or files that are not in the table.
        files: number of files that were read.
    """

    start: datetime
    end: datetime
    release_id: str
    table: ir.Table
    rows: int
    set_aside: Mapping[str, int]
    files: int = 0


def open_connection() -> ibis.BaseBackend:
    """Return a DuckDB in memory that takes at most 700 MB, and writes to disk what exceeds them."""
    connection = connect()
    connection.raw_sql(f"SET memory_limit='{MEMORY}'")
    return connection


@contextmanager
def open_window(
    connection: ibis.BaseBackend, log: Location, signature: Signature, release_id: str, start: datetime, end: datetime
) -> Iterator[Window]:
    """Read the log; the window's table exists for the block.

    The rows that can be used are copied to one local file, because DuckDB scans a file for each input, and because the
    conditions on a row read all of its columns.

    Raises:
        Unreachable: if the store of the log does not respond.
    """
    with (
        fetch_files(log, start, end, signature) as files,
        tempfile.TemporaryDirectory(prefix="window-") as folder,
    ):
        copy = Path(folder, "window.parquet")
        usable = files.usable
        try:
            set_aside = _copy_rows(connection, usable, signature, release_id, start, end, copy)
        except duckdb.Error:
            usable = tuple(path for path in usable if _is_intact(path))
            if usable == files.usable:
                raise
            set_aside = _copy_rows(connection, usable, signature, release_id, start, end, copy)
        damaged = len(files.usable) - len(usable)
        set_aside[UNREADABLE] += files.unreadable + damaged
        for path in files.other:
            _count_other_file(connection, path, release_id, start, end, set_aside)
        table = connection.read_parquet(copy)
        rows = set_aside.pop("", 0)
        if repeated := rows - int(table[REQUEST_ID].hash().nunique().execute()):
            once = Path(folder, "once.parquet")
            _keep_first(table).to_parquet(once)
            table = connection.read_parquet(once)
            set_aside[_REPEATED] = repeated
        counted = {reason: count for reason, count in sorted(set_aside.items()) if count}
        yield Window(start, end, release_id, table, rows - repeated, counted, files.count - damaged)


def _copy_rows(
    connection: ibis.BaseBackend,
    files: Sequence[Path],
    signature: Signature,
    release_id: str,
    start: datetime,
    end: datetime,
    copy: Path,
) -> Counter[str]:
    """Write the rows that can be used to a file, and return reason -> rows; the reason of those rows is empty."""
    table = _logged_rows(connection, files, signature, start, end)
    reason = _reason(table, signature, release_id)
    counts = table.group_by(reason=reason).aggregate(rows=ibis._.count()).to_pyarrow().to_pylist()
    table.filter(reason == "").drop(_RELEASE).to_parquet(copy)
    return Counter({row["reason"]: row["rows"] for row in counts})


def _logged_rows(
    connection: ibis.BaseBackend, files: Sequence[Path], signature: Signature, start: datetime, end: datetime
) -> ir.Table:
    """Return the rows of the files within the span, with the columns of a window and the release id; NaN is null."""
    if files:
        table = connection.read_parquet([str(path) for path in files], union_by_name=True)
    else:
        table = ibis.memtable(_empty(signature))
    time = table.time.cast("timestamp")
    columns: dict[str, ir.Value] = {
        TIME: time,
        REQUEST_ID: table.request_id,
        _RELEASE: table.release,
        LATENCY: _number(table.latency_ms),
        SCORE: _number(table[score_column(signature)]),
    }
    logged = log_columns(signature)
    for item in signature.inputs:
        column = table[logged[item.name]]
        if item.type in ("number", "integer") and not item.sensitive:
            column = _number(column)
        elif item.type == "timestamp" and not item.sensitive:
            column = column.cast("timestamp")
        columns[item.name] = column
    # A row without a time belongs to no window, so it is counted in each one that its file's date is part of.
    within = time.isnull() | ((time >= _instant(start)) & (time < _instant(end)))
    return table.filter(within).select(**columns)


def _reason(table: ir.Table, signature: Signature, release_id: str) -> ir.StringValue:
    """Return why a row is set aside, or the empty text."""
    plain = [item for item in signature.inputs if not item.sensitive]
    numbers = [table[item.name] for item in plain if item.type in ("number", "integer")]
    texts = [table[item.name] for item in plain if item.type == "category"]
    no = ibis.literal(False)
    too_large = [(column.abs() > MAX_NUMBER).fill_null(False) for column in numbers]
    too_long = [(column.length() > MAX_TEXT).fill_null(False) for column in texts]
    unnamed = table[TIME].isnull() | table[REQUEST_ID].isnull() | (table[REQUEST_ID].length() > MAX_TEXT)
    return ibis.cases(
        ((table[_RELEASE] != release_id).fill_null(True), _OTHER_RELEASE),
        (unnamed, "rows without time or request id"),
        (table[SCORE].isnull() | table[SCORE].isinf(), "rows without a finite score"),
        (_any(too_large, no), "rows with an infinite or too large number"),
        (_any(too_long, no), f"rows with a text of more than {MAX_TEXT:,} characters"),
        else_="",
    )


def _any(conditions: Sequence[ir.BooleanValue], condition: ir.BooleanValue) -> ir.BooleanValue:
    for other in conditions:
        condition = condition | other
    return condition


def _number(column: ir.Column) -> ir.Value:
    number = column.cast("float64")
    return ibis.ifelse(number.isnan(), None, number)


def _keep_first(table: ir.Table) -> ir.Table:
    """Return the first row of each request id."""
    by_id = ibis.window(group_by=table[REQUEST_ID], order_by=[table[TIME], table[SCORE]])
    numbered = table.mutate(__row=ibis.row_number().over(by_id))
    return numbered.filter(numbered["__row"] == 0).drop("__row")


def _count_other_file(
    connection: ibis.BaseBackend, path: Path, release_id: str, start: datetime, end: datetime, set_aside: Counter[str]
) -> None:
    """Count the rows of a file with other columns: rows of another release have the columns of another model."""
    rows = own = pq.read_metadata(path).num_rows
    try:
        table = connection.read_parquet(str(path))
        time = table.time.cast("timestamp")
        within = table.filter((time >= _instant(start)) & (time < _instant(end)))
        of_release = (within.release == release_id).fill_null(False)
        counts = within.aggregate(rows=ibis._.count(), own=of_release.sum()).to_pyarrow().to_pylist()[0]
        rows, own = counts["rows"], counts["own"] or 0
    except (duckdb.Error, ibis.IbisError, AttributeError):
        pass  # it has no column `release` or `time`
    set_aside[_OTHER_SCHEMA] += own
    set_aside[_OTHER_RELEASE] += rows - own


def _is_intact(path: Path) -> bool:
    try:
        for batch in pq.ParquetFile(path).iter_batches(1_000):
            batch.validate(full=True)
    except (pa.ArrowException, OSError):
        return False
    return True


def arrow_type(item: Input) -> pa.DataType:
    """Return the type of an input's values in a window."""
    types = {"number": pa.float64(), "integer": pa.float64(), "boolean": pa.bool_(), "timestamp": pa.timestamp("us")}
    return types.get(item.type, pa.string())


def _empty(signature: Signature) -> Any:
    columns = {
        "time": pa.timestamp("us"),
        "request_id": pa.string(),
        "release": pa.string(),
        "latency_ms": pa.float64(),
    }
    columns[score_column(signature)] = pa.float64()
    for item in signature.inputs:
        name = log_columns(signature)[item.name]
        columns[name] = pa.string() if item.sensitive else arrow_type(item)
    return pa.schema(list(columns.items())).empty_table()


def _instant(time: datetime) -> ir.TimestampScalar:
    literal: ir.TimestampScalar = ibis.timestamp(time.astimezone(UTC).replace(tzinfo=None).isoformat())
    return literal
