"""Merges the lines of a date into one Parquet file, which is read in less time and takes less room.

A Parquet file names the files that it was made of: until they are removed, readers leave them out. Any step may be
killed, and two runs may do the same: the name of the Parquet file is a hash of those names, and a file is removed only
when the Parquet file that has its rows is complete.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from pipelines.model.signature import Signature
from pipelines.predictions.log import copy_files, dates, list_date
from pipelines.predictions.log_lines import convert, first_row, read_sources
from pipelines.predictions.log_schema import line_columns
from pipelines.tables.locations import Location, store_errors


def compact(log: Location, start: datetime, end: datetime, signature: Signature, release_id: str) -> None:
    """Merge the lines of one release, whose signature gives the types, for each date of a span that is over.

    Files that cannot be read, or have other columns, stay as they are.
    """
    for date in dates(start, end):
        with tempfile.TemporaryDirectory(prefix="compact-") as folder, suppress(FileNotFoundError):
            # A file that is missing was removed by another run, which merges this date.
            _compact_date(log, date, signature, release_id, Path(folder))


def _compact_date(log: Location, date: str, signature: Signature, release_id: str, folder: Path) -> None:
    parquet, written = list_date(log, date)
    if not written:
        return
    merged: set[str] = set()
    for path in copy_files(log, parquet, folder):
        with suppress(pa.ArrowException, OSError):
            merged |= read_sources(path)
    columns, target = line_columns(signature), folder / "merged.parquet"
    lines = [name for name in written if _base(name) not in merged]
    paths = [
        path
        for path in copy_files(log, lines, folder)
        if (row := first_row(path)) and row.get("release") == release_id and row.keys() == columns.keys()
    ]
    convert(paths, columns, target)
    if target.exists():
        sources = read_sources(target)
        digest = hashlib.sha256("\n".join(sorted(sources)).encode()).hexdigest()[:16]
        _upload(log, target, f"{log.path}/date={date}/merged-{digest}.parquet")
        merged |= sources
    _remove(log, [name for name in written if _base(name) in merged])


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _upload(log: Location, source: Path, name: str) -> None:
    """Write a file, which appears when it is whole."""
    temporary = f"{name.removesuffix(_base(name))}.{_base(name)}.{os.getpid()}.tmp"
    with store_errors(log):
        if not log.is_local:
            log.filesystem.put_file(str(source), name)
            return
        try:
            log.filesystem.put_file(str(source), temporary)
            os.replace(temporary, name)
        finally:
            Path(temporary).unlink(missing_ok=True)


def _remove(log: Location, names: Sequence[str]) -> None:
    with store_errors(log), suppress(FileNotFoundError):  # another run removes them, too
        if names:
            log.filesystem.rm(list(names))
