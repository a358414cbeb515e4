"""The prediction log: a folder or URL with Parquet files by date, which serving/prediction_log.py writes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.signature import Input, Signature
from pipelines.tables.locations import PREDICTION_LOG, Location, parse_location, store_errors

# A file whose rows have this many bytes on average, and a row group this many, would not fit in the memory of a scan.
_MAX_ROW_BYTES = 50_000
_MAX_GROUP_BYTES = 256_000_000


@dataclass(frozen=True)
class LogFiles:
    """The files of a span of dates, on a local disk.

    Attributes:
        usable: files with all columns that a window needs.
        other: files that lack some of them, or have them with other types.
        unreadable: files that are not readable Parquet files.
    """

    usable: tuple[Path, ...]
    other: tuple[Path, ...]
    unreadable: int


def parse_log(url: str) -> Location:
    """Return the location of the log that PREDICTION_LOG names."""
    return parse_location(url.rstrip("/"), PREDICTION_LOG)


@contextmanager
def fetch_files(log: Location, start: datetime, end: datetime, signature: Signature) -> Iterator[LogFiles]:
    """List the files of the dates from `start` to `end` (exclusive); files of a URL are copied for the block.

    Raises:
        Unreachable: if the store does not respond.
    """
    paths = [path for date in _dates(start, end) for path in _list_date(log, date)]
    with tempfile.TemporaryDirectory(prefix="monitor-") as folder:
        if not log.is_local:
            copies = [str(Path(folder, f"{i:06d}.parquet")) for i in range(len(paths))]
            with store_errors(log):
                if paths:
                    log.filesystem.get(paths, copies)
            paths = copies
        usable: list[Path] = []
        other: list[Path] = []
        unreadable = 0
        for path in map(Path, paths):
            fits = _fits(path, signature)
            if fits is None:
                unreadable += 1
            else:
                (usable if fits else other).append(path)
        yield LogFiles(tuple(usable), tuple(other), unreadable)


def find_first_date(log: Location) -> datetime | None:
    """Return the first date with a folder in the log, UTC; None for an empty log.

    Raises:
        Unreachable: if the store does not respond.
    """
    dates = []
    for name in _list_folder(log, log.path):
        with suppress(ValueError):
            dates.append(datetime.strptime(name.rpartition("/")[2], "date=%Y-%m-%d").replace(tzinfo=UTC))
    return min(dates, default=None)


def log_columns(signature: Signature) -> Mapping[str, str]:
    """Return field -> column of the log: an input with the name of another column is logged under another name."""
    reserved = {"time", "request_id", "release", "role", score_column(signature), "latency_ms"}
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


def _dates(start: datetime, end: datetime) -> Iterator[str]:
    date = start.date()
    while datetime(date.year, date.month, date.day, tzinfo=end.tzinfo) < end:
        yield date.isoformat()
        date += timedelta(days=1)


def _list_date(log: Location, date: str) -> list[str]:
    names = _list_folder(log, f"{log.path}/date={date}")
    visible = [name for name in names if not name.rpartition("/")[2].startswith((".", "_"))]
    return sorted(name for name in visible if name.endswith(".parquet"))


def _list_folder(log: Location, path: str) -> list[str]:
    """List the paths in a folder; none if there is no such folder."""
    with store_errors(log):
        log.filesystem.invalidate_cache()
        try:
            return [str(name) for name in log.filesystem.ls(path, detail=False)]
        except FileNotFoundError:
            # A bucket that does not exist, or cannot be reached, is an error.
            if not log.is_local:
                log.filesystem.ls(log.path.partition("/")[0], detail=False)
            return []


def _fits(path: Path, signature: Signature) -> bool | None:
    """Return whether a file has the columns of a window; None if it cannot be read, or has rows of enormous size."""
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
