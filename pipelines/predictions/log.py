"""The prediction log: a folder or URL with files by date.

serving/prediction_log.py writes gzipped lines of JSON, pipelines/monitor/compaction.py merges them to Parquet.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.model.signature import Signature
from pipelines.predictions.log_lines import convert, first_row, read_sources
from pipelines.predictions.log_schema import OPTIONAL, fits, line_columns
from pipelines.tables.locations import PREDICTION_LOG, Location, parse_location, store_errors


@dataclass
class LogFiles:
    """The files of a span of dates, as Parquet on a local disk.

    Attributes:
        usable: files with all columns that a window needs.
        other: files that lack some of them, or have them with other types.
        count: number of usable files that the service wrote; one Parquet file may have the rows of several.
        unreadable: number of files that cannot be read.
    """

    usable: list[Path] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)
    count: int = 0
    unreadable: int = 0


def parse_log(url: str) -> Location:
    """Return the location of the log that PREDICTION_LOG names."""
    return parse_location(url.rstrip("/"), PREDICTION_LOG)


@contextmanager
def fetch_files(log: Location, start: datetime, end: datetime, signature: Signature) -> Iterator[LogFiles]:
    """List the files of the dates from `start` to `end` (exclusive) for the block.

    Files of a URL are copied, and lines of JSON are converted. Lines that were merged into a Parquet file and not yet
    removed are left out.
    """
    with tempfile.TemporaryDirectory(prefix="monitor-") as folder:
        try:
            files = _fetch_dates(log, start, end, signature, Path(folder, "1"))
        except FileNotFoundError:  # another run merges files
            files = _fetch_dates(log, start, end, signature, Path(folder, "2"))
        yield files


def _fetch_dates(log: Location, start: datetime, end: datetime, signature: Signature, folder: Path) -> LogFiles:
    fetched = LogFiles()
    for date in dates(start, end):
        parquet, written = list_date(log, date)
        merged: set[str] = set()
        fitting = {path: fits(path, signature) for path in copy_files(log, parquet, folder / date)}
        sources = {path: read_sources(path) for path, is_fitting in fitting.items() if is_fitting is not None}
        fetched.unreadable += len(fitting) - len(sources)
        for path in sorted(sources, key=lambda path: -len(sources[path])):
            if sources[path] and sources[path] <= merged:
                continue  # two runs merged files at once, and one saw more of them
            merged |= sources[path]
            (fetched.usable if fitting[path] else fetched.other).append(path)
            fetched.count += max(1, len(sources[path])) if fitting[path] else 0
        lines = [name for name in written if name.rpartition("/")[2] not in merged]
        converted = folder / date / "converted"
        converted.mkdir(parents=True)
        _convert_lines(copy_files(log, lines, folder / date), signature, converted, fetched)
    return fetched


def _convert_lines(paths: Sequence[Path], signature: Signature, folder: Path, fetched: LogFiles) -> None:
    """Convert files to at most one usable Parquet file, and at most two that only tell the release of their rows."""
    columns = line_columns(signature)
    needed = columns.keys() - OPTIONAL
    misfits = [path for path in paths if not (first_row(path) or {}).keys() >= needed]
    fitting = [path for path in paths if path not in set(misfits)]
    unfit = convert(fitting, columns, folder / "usable.parquet")
    misfits = convert(misfits + unfit, {"time": "time", "release": "text"}, folder / "other.parquet")
    misfits = convert(misfits, {"release": "text", "role": "text"}, folder / "untimed.parquet")
    for path in misfits:
        path.stat()  # raises FileNotFoundError if it was removed meanwhile
    fetched.usable += folder.glob("usable.parquet")
    fetched.other += [*folder.glob("other.parquet"), *folder.glob("untimed.parquet")]
    fetched.count += len(fitting) - len(unfit)
    fetched.unreadable += len(misfits)


def copy_files(log: Location, names: Sequence[str], folder: Path) -> list[Path]:
    """Copy files of a URL to a folder; those of a local disk stay where they are.

    Raises:
        FileNotFoundError: if one was removed.
        Unreachable: if the store does not respond.
    """
    if log.is_local or not names:
        return [Path(name) for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / name.rpartition("/")[2] for name in names]
    try:
        log.filesystem.get(list(names), [str(path) for path in copies])
    except FileNotFoundError:
        raise
    except Exception:
        with store_errors(log):
            raise
    return copies


def list_dates(log: Location) -> list[datetime]:
    """Return the beginnings of the dates with a folder in the log, UTC, in order."""
    found = []
    for name in _list_folder(log, log.path):
        with suppress(ValueError):
            found.append(datetime.strptime(name.rpartition("/")[2], "date=%Y-%m-%d").replace(tzinfo=UTC))
    return sorted(found)


def dates(start: datetime, end: datetime) -> Iterator[str]:
    """Yield the dates of a span, whose end is exclusive."""
    date = start.date()
    while datetime(date.year, date.month, date.day, tzinfo=end.tzinfo) < end:
        yield date.isoformat()
        date += timedelta(days=1)


def list_date(log: Location, date: str) -> tuple[list[str], list[str]]:
    """Return the paths of a date's Parquet files and of its lines, in order; hidden ones are being written."""
    names = _list_folder(log, f"{log.path}/date={date}")
    visible = sorted(name for name in names if not name.rpartition("/")[2].startswith((".", "_")))
    parquet, lines = ([name for name in visible if name.endswith(end)] for end in (".parquet", ".jsonl.gz"))
    return parquet, lines


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
