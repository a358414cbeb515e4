"""A table of many rows, made of a small one: its months again and again, with keys of their own and later seconds."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

STEP = 7  # seconds between a row and its copy: all copies stay in the months of the small table


def write(source: Path, target: Path, copies: int, key: str, show: Callable[[str], None]) -> int:
    """Write every Parquet file of `source` to `target` with each row `copies` times.

    Returns:
        The number of rows written.
    """
    target.mkdir(parents=True)
    written = 0
    for path in sorted(source.glob("*.parquet")):
        show(f"Writing many rows: {written:,} so far")
        table = pq.read_table(path)
        with pq.ParquetWriter(target / path.name, table.schema) as writer:
            for copy in range(copies):
                writer.write_table(_copied(table, copy, key))
        written += table.num_rows * copies
    return written


def _copied(table: pa.Table, copy: int, key: str) -> pa.Table:
    columns = []
    for field in table.schema:
        values = table[field.name]
        if field.name == key:
            values = pc.binary_join_element_wise(values, f"{copy:024d}", "-")  # as long as a UUID
        elif pa.types.is_timestamp(field.type):
            later = pa.scalar(STEP * copy, pa.duration("s")).cast(pa.duration(field.type.unit))
            values = pc.add(values, later).cast(field.type)
        columns.append(values)
    return pa.table(columns, schema=table.schema)


def rows_of(path: Path) -> int:
    """Number of rows of a Parquet file."""
    return int(pq.read_metadata(path).num_rows)
