"""Keep the rows, and the labels, that were known on a day: `ingest.until`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.table_schema import Table
from pipelines.ingest.month_files import Rows


def cut_rows(rows: Rows, table: Table, until: date | None) -> Rows:
    """Return the rows before a day, without the labels that became known from that day on; all rows if it is None.

    Rows without a time are kept: validation reports them.

    Raises:
        InputError: if a column of a time holds none.
    """
    if until is None:
        return rows
    times = [name for name in (table.event_time, table.label_time) if name in rows.schema.names]
    for name in times:
        if not pa.types.is_timestamp(rows.schema.field(name).type):
            raise InputError(f"ingest.until needs times in {name}, which holds other values", "Correct the column.")
    return Rows(rows.schema, _cut(rows, table, datetime(until.year, until.month, until.day)))


def _cut(rows: Rows, table: Table, end: datetime) -> Iterator[pa.Table]:
    for part in rows.parts:
        if table.event_time in part.column_names:
            before = pc.less(part[table.event_time], pa.scalar(end, part[table.event_time].type))
            part = part.filter(pc.fill_null(before, True))
        if table.label_time in part.column_names:
            later = pc.greater_equal(part[table.label_time], pa.scalar(end, part[table.label_time].type))
            for name in (table.target, table.label_time):
                if name in part.column_names:
                    column = part[name]
                    kept = pc.if_else(pc.fill_null(later, False), pa.scalar(None, column.type), column)
                    part = part.set_column(part.column_names.index(name), part.schema.field(name), kept)
        yield part
