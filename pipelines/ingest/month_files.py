"""Write rows to one Parquet file a month, in a folder that appears only when it is complete."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import Unreachable
from pipelines.config.table_schema import Table
from pipelines.ingest.rows import Rows
from pipelines.tables.data import GROUP_ROWS, parquet_writer

WITHOUT_TIME = "rows"
SPOOL_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder data.XXXX.tmp beside `target`, and remove it at the end unless it was renamed.

    Raises:
        Unreachable: if the disk fails within the block.
    """
    try:
        prefix = f"{target.name}."
        with TemporaryDirectory(prefix=prefix, suffix=".tmp", dir=target.parent, ignore_cleanup_errors=True) as name:
            Path(name).chmod(0o755)
            yield Path(name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(
            f"{target} cannot be written: {reason}; {target} is unchanged",
            "Free disk space or correct the access rights, then run again.",
        ) from error


def write_months(rows: Rows, table: Table, folder: Path) -> int:
    """Write each row to YYYY-MM.parquet by the month of its event time, in an empty folder.

    The rows of a month are sorted by time and key, so that equal rows give equal bytes. Rows without a time go to
    rows.parquet in their order. Memory holds one part and one month at a time.

    Returns:
        The number of rows.
    """
    name, schema = table.event_time, rows.schema
    time = name if name in schema.names and pa.types.is_timestamp(schema.field(name).type) else None
    count = 0
    spools: dict[str, pa.RecordBatchStreamWriter] = {}
    with ExitStack() as open_spools:
        for part in rows.parts:
            count += len(part)
            for month, piece in _by_month(part, time):
                if month not in spools:
                    # Arrow's own format, because Parquet would turn seconds into milliseconds.
                    spool = pa.ipc.new_stream(str(folder / f"{month}.spool"), schema, options=SPOOL_OPTIONS)
                    spools[month] = open_spools.enter_context(spool)
                spools[month].write_table(piece)
    for month in sorted(spools):
        path = folder / f"{month}.spool"
        with pa.OSFile(str(path)) as file:
            piece = pa.ipc.open_stream(file).read_all()
        if month != WITHOUT_TIME:
            keys = [(name, "ascending") for name in (time, table.key) if name in schema.names]
            # Not Table.sort_by: only sort_indices is documented to keep the order of equal keys.
            piece = piece.take(pc.sort_indices(piece, keys))
        with parquet_writer(path.with_suffix(".parquet"), schema) as writer:
            writer.write_table(piece.combine_chunks(), row_group_size=GROUP_ROWS)
        path.unlink()
    return count


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
