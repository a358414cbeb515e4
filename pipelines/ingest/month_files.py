"""Write rows to one Parquet file a month, in a folder that appears only when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.cli.errors import Unreachable
from pipelines.config.table_schema import Table

WITHOUT_TIME = "rows"
GROUP_ROWS = 262_144
SPOOL_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True)
class Rows:
    """Rows to write: tables of one schema, each of which is read once, in order."""

    schema: pa.Schema
    parts: Iterable[pa.Table]


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder data.XXXX.tmp beside `target`, and remove it at the end unless it was renamed.

    Raises:
        Unreachable: if the disk fails within the block.
    """
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".tmp", dir=target.parent))
        folder.chmod(0o755)
        yield folder
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(
            f"{target} cannot be written: {reason}; {target} is unchanged",
            "Free disk space or correct the access rights, then run again.",
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def write_months(rows: Rows, table: Table, folder: Path) -> int:
    """Write each row to YYYY-MM.parquet by the month of its event time, in an empty folder.

    The rows of a month are sorted by time and key, so that equal rows give equal bytes. Rows without a time go to
    rows.parquet in their order. Memory holds one part and one month at a time.

    Returns:
        The number of rows.
    """
    time = table.event_time if _has_times(rows.schema, table.event_time) else None
    keys = [name for name in (time, table.key) if name is not None and name in rows.schema.names]
    count = 0
    with _Spools(folder, rows.schema) as spools:
        for part in rows.parts:
            count += len(part)
            for month, piece in _by_month(part, time):
                spools.add(month, piece)
    for month, spool in sorted(spools.paths.items()):
        with pa.OSFile(str(spool)) as file:
            piece = pa.ipc.open_stream(file).read_all()
        if month != WITHOUT_TIME:
            piece = _sorted(piece, keys)
        with _writer(folder / f"{month}.parquet", rows.schema) as writer:
            writer.write_table(piece.combine_chunks(), row_group_size=GROUP_ROWS)
        spool.unlink()
    return count


def _has_times(schema: pa.Schema, name: str | None) -> bool:
    return name in schema.names and pa.types.is_timestamp(schema.field(name).type)


@dataclass
class _Spools:
    """A temporary file for each month, to which each part of the rows is added."""

    folder: Path
    schema: pa.Schema
    paths: dict[str, Path] = field(default_factory=dict)
    _writers: dict[str, pa.RecordBatchStreamWriter] = field(default_factory=dict)

    def __enter__(self) -> _Spools:
        return self

    def add(self, month: str, piece: pa.Table) -> None:
        if month not in self._writers:
            self.paths[month] = self.folder / f"{month}.spool"
            # Arrow's own format, because Parquet would turn seconds into milliseconds.
            self._writers[month] = pa.ipc.new_stream(str(self.paths[month]), self.schema, options=SPOOL_OPTIONS)
        self._writers[month].write_table(piece)

    def __exit__(self, kind: object, *_: object) -> None:
        for writer in self._writers.values():
            if kind is None:
                writer.close()
            else:
                # The first error is raised; a full disk would raise it again for every file.
                with suppress(OSError, pa.ArrowException):
                    writer.close()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema.remove_metadata(), compression="zstd", compression_level=3, version="2.6")


def _by_month(part: pa.Table, time: str | None) -> Iterator[tuple[str, pa.Table]]:
    """Yield each month and its rows, in their order."""
    if time is None:
        yield WITHOUT_TIME, part
        return
    # Year and month as one number; null stays null.
    when = part[time]
    number = pc.add(pc.multiply(pc.year(when), 12), pc.subtract(pc.month(when), 1))
    for month in pc.unique(number).sort().to_pylist() if len(part) else []:
        if month is None:
            yield WITHOUT_TIME, part.filter(pc.is_null(number))
        else:
            yield f"{month // 12:04d}-{month % 12 + 1:02d}", part.filter(pc.equal(number, month))


def _sorted(piece: pa.Table, keys: list[str]) -> pa.Table:
    """Sort by the keys; rows with equal keys keep their order."""
    # Not Table.sort_by: only sort_indices is documented to be stable.
    return piece.take(pc.sort_indices(piece, [(name, "ascending") for name in keys]))


def has_files(folder: Path) -> bool:
    """Return whether a folder exists and is not empty."""
    return folder.is_dir() and any(folder.iterdir())
