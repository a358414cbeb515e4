"""Rows to write, without those that are not known on a day, and with a key where the table has none."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.table_schema import Table

SEPARATOR = "\x1f"
Keys = Callable[[pa.Table], pa.Array]  # of the next part of the rows


@dataclass(frozen=True)
class Rows:
    """Rows to write: tables of one schema, each of which is read once, in order."""

    schema: pa.Schema
    parts: Iterable[pa.Table]


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


def add_key(rows: Rows, table: Table, kind: Literal["hash", "row_number"]) -> Rows:
    """Return the rows with the column `schema.key` in front.

    A hash has the number of equal rows before it appended. The label and its time are not in it, so that a corrected
    label keeps its key. The order of the columns in the source does not matter; a column that the schema gains gives
    all rows other keys. The number of a row, from 1, stays as long as rows are only appended.

    Raises:
        InputError: if the rows have such a column already.
    """
    if table.key in rows.schema.names:
        raise InputError(
            f"ingest.make_key would make {table.key}, which the table has",
            "Remove ingest.make_key, or give schema.key another name.",
        )
    schema = rows.schema.insert(0, pa.field(table.key, pa.string()))
    keys = _hashes(rows.schema, table) if kind == "hash" else _numbers()
    return Rows(schema, (pa.table([keys(part), *part.columns], schema=schema) for part in rows.parts))


def _hashes(schema: pa.Schema, table: Table) -> Keys:
    hidden = {table.target, table.label_time}
    hashed = [name for name in table.columns if name in schema.names and name not in hidden]
    counts: Counter[str] = Counter()

    def keys(part: pa.Table) -> pa.Array:
        texts = [pc.fill_null(part[name].cast(pa.string()), SEPARATOR) for name in hashed]
        joined = pc.binary_join_element_wise(*texts, SEPARATOR)
        made = []
        for text in joined.to_pylist():
            digest = blake2b(text.encode(), digest_size=8).hexdigest()
            made.append(f"{digest}-{counts[digest]}")
            counts[digest] += 1
        return pa.array(made, pa.string())

    return keys


def _numbers() -> Keys:
    numbers = itertools.count(1)
    return lambda part: pa.array([str(next(numbers)) for _ in range(len(part))], pa.string())
