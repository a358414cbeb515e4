"""The predictions of one release in one span of time, each request id once, without the rows that cannot be used."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.encoding import MAX_NUMBER
from pipelines.model.signature import Signature
from pipelines.predictions.log import fetch_files
from pipelines.predictions.log_schema import ARROW, REPLAY, line_columns, log_columns, score_column
from pipelines.tables.data import connect
from pipelines.tables.locations import Location

# Columns of a window besides the inputs, whose names can be any.
TIME, REQUEST_ID, LATENCY, SCORE = "__time", "__request_id", "__latency_ms", "__score"
_RELEASE = "__release"
MAX_TEXT = 1_000
MEMORY = "700MB"
OTHER_RELEASE, _OTHER_SCHEMA = "rows of another release", "rows of another schema"
REPLAYED = "rows of a rollout's replay"
UNREADABLE, REPEATED = "files that cannot be read", "rows with a repeated request id"


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
            usable = [path for path in usable if _is_intact(path)]
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
            set_aside[REPEATED] = repeated
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
    kinds, logged = line_columns(signature), log_columns(signature)
    if files:
        table = connection.read_parquet([str(path) for path in files], union_by_name=True)
    else:
        table = ibis.memtable(pa.schema([(name, ARROW[kind]) for name, kind in kinds.items()]).empty_table())

    def values(name: str) -> ir.Value:
        column = table[name]
        if ARROW[kinds[name]] == pa.float64():
            number = column.cast("float64")
            return ibis.ifelse(number.isnan(), None, number)
        return column.cast("timestamp") if kinds[name] == "time" else column

    time = values("time")
    columns: dict[str, ir.Value] = {
        TIME: time,
        REQUEST_ID: table.request_id,
        _RELEASE: table.release,
        LATENCY: values("latency_ms"),
        SCORE: values(score_column(signature)),
        **{item.name: values(logged[item.name]) for item in signature.inputs},
    }
    # A row without a time belongs to no window, so it is counted in each one that its file's date is part of.
    within = time.isnull() | ((time >= instant(start)) & (time < instant(end)))
    return table.filter(within).select(**columns)


def _reason(table: ir.Table, signature: Signature, release_id: str) -> ir.StringValue:
    """Return why a row is set aside, or the empty text."""
    kinds = {item.name: item.type for item in signature.inputs if not item.sensitive}
    too_large = [table[name].abs() > MAX_NUMBER for name, kind in kinds.items() if kind in ("number", "integer")]
    too_long = [table[name].length() > MAX_TEXT for name, kind in kinds.items() if kind == "category"]
    unnamed = table[TIME].isnull() | table[REQUEST_ID].isnull() | (table[REQUEST_ID].length() > MAX_TEXT)
    reasons = {
        OTHER_RELEASE: (table[_RELEASE] != release_id).fill_null(True),
        "rows without time or request id": unnamed,
        REPLAYED: table[REQUEST_ID].startswith(REPLAY),
        "rows without a finite score": table[SCORE].isnull() | table[SCORE].isinf(),
        "rows with an infinite or too large number": ibis.or_(*too_large),
        f"rows with a text of more than {MAX_TEXT:,} characters": ibis.or_(*too_long),
    }
    return ibis.cases(*((condition, reason) for reason, condition in reasons.items()), else_="")


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
        within = table.filter((time >= instant(start)) & (time < instant(end)))
        of_release = (within.release == release_id).fill_null(False)
        counts = within.aggregate(rows=ibis._.count(), own=of_release.sum()).to_pyarrow().to_pylist()[0]
        rows, own = counts["rows"], counts["own"] or 0
    except (duckdb.Error, ibis.IbisError, AttributeError):
        pass  # it has no column `release` or `time`
    set_aside[_OTHER_SCHEMA] += own
    set_aside[OTHER_RELEASE] += rows - own


def _is_intact(path: Path) -> bool:
    try:
        for batch in pq.ParquetFile(path).iter_batches(1_000):
            batch.validate(full=True)
    except (pa.ArrowException, OSError):
        return False
    return True


def instant(time: datetime) -> ir.TimestampScalar:
    """Return a time as a window's column TIME holds it."""
    literal: ir.TimestampScalar = ibis.timestamp(time.astimezone(UTC).replace(tzinfo=None).isoformat())
    return literal
