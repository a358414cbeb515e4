"""The table to score, with the columns that the model reads and features/prepare.py makes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.base import Strict
from pipelines.config.ingest import Files, Ingest
from pipelines.config.read import PATH, read_sections
from pipelines.config.table_schema import ColumnType, TableParams
from pipelines.model.signature import Signature
from pipelines.tables.cast import cast_lossless
from pipelines.tables.preparation import FUNCTION, Preparation, arrow_type, load_preparation
from pipelines.tables.reader import BATCH_ROWS, CsvFormat, Source, open_source


def open_table(name: str, signature: Signature, history: str | None) -> Source | PreparedSource:
    """Open the table to score.

    Args:
        name: of a file, folder or pattern.
        history: the same of earlier rows, which features/prepare.py is given but which are not scored.

    Raises:
        InputError: if a column is missing that can be neither read nor prepared.
    """
    prepared, form = [item.name for item in signature.inputs if item.prepared], _csv_format()
    source = open_source(name, "IN", [item.name for item in signature.inputs if not item.prepared], form)
    there = [column for column in prepared if column in source.schema.names]
    if len(there) == len(prepared):
        if history is not None:
            raise InputError("HISTORY is not read: IN has every column that the model reads", "Leave HISTORY out.")
        return open_source(name, "IN", signature.names, form)
    if there:
        missing = next(column for column in prepared if column not in there)
        raise InputError(
            f"IN has the prepared column {there[0]} and not {missing}",
            f"Give IN all prepared columns, or none: then {FUNCTION} makes them.",
        )
    table = read_sections(TableParams).table
    if unknown := [column for column in prepared if column not in table.prepared]:
        raise InputError(
            f"IN lacks {unknown[0]}, which the model reads and params.yaml does not mark as prepared",
            f"Give IN the column, or check out the commit of the model with its {FUNCTION}.",
        )
    preparation = load_preparation(table)
    if table.key not in source.schema.names:
        raise InputError(f"IN lacks the key {table.key}, by which {FUNCTION} tells rows apart", "Add the column.")
    if history is not None and preparation.row_wise:
        raise InputError(f"HISTORY is not read: {FUNCTION} is row-wise", "Leave HISTORY out.")
    if history is None and not preparation.row_wise:
        print(f"{FUNCTION} sees the rows of IN only; HISTORY names a table of earlier ones.", file=sys.stderr)
    earlier = None if history is None else open_source(history, "HISTORY", [table.key], form)
    return PreparedSource(source, preparation, tuple(prepared), earlier)


class _IngestParams(Strict):
    ingest: Ingest


def _csv_format() -> CsvFormat:
    """Return how CSV files are written that `ingest` reads; the standard one if it reads none."""
    ingest = read_sections(_IngestParams).ingest if PATH.is_file() else None
    return CsvFormat(ingest.separator, ingest.encoding) if isinstance(ingest, Files) else CsvFormat()


@dataclass(frozen=True)
class PreparedSource:
    """A table with prepared columns.

    Attributes:
        columns: the prepared columns that the model reads.
        history: earlier rows, which are not part of the table.
    """

    source: Source
    preparation: Preparation
    columns: tuple[str, ...]
    history: Source | None

    @property
    def files(self) -> tuple[Any, ...]:
        """The files of the table, and of the history."""
        return self.source.files + (self.history.files if self.history else ())

    @property
    def rows(self) -> int | None:
        """The number of rows, if all files state it."""
        return self.source.rows

    @property
    def schema(self) -> Any:
        """The columns of the files, then the prepared ones."""
        types = {name: self.preparation.table.columns[name].type for name in self.columns}
        return pa.schema([*self.source.schema, *(pa.field(name, arrow_type(kind)) for name, kind in types.items())])

    def batches(self) -> Iterator[Any]:
        """Yield record batches; all rows are in memory at once unless the function is row-wise."""
        batches = self.source.batches()
        for group in ([batch] for batch in batches) if self.preparation.row_wise else [list(batches)]:
            part = pa.Table.from_batches(group, self.source.schema)
            prepared = self._prepare(part)
            complete = pa.table([*part.columns, *prepared.columns], schema=self.schema).combine_chunks()
            yield from complete.to_batches(max_chunksize=BATCH_ROWS)

    def _prepare(self, part: pa.Table) -> pa.Table:
        """Return the prepared columns of rows; null where a row lacks a value that the schema demands."""
        rows = self._typed(part)
        complete = self._is_complete(rows)
        given, key = rows.filter(complete), self.preparation.table.key
        if not len(given):
            kinds = {name: self.preparation.table.columns[name].type for name in self.columns}
            return pa.table({name: pa.nulls(len(part), arrow_type(kind)) for name, kind in kinds.items()})
        if len(given) > pc.count_distinct(given[key]).as_py():
            raise InputError(
                f"IN has rows that repeat a {key}, by which {FUNCTION} tells rows apart", "Give every row a key."
            )
        if self.history is not None:
            earlier = self._typed(pa.Table.from_batches(list(self.history.batches()), self.history.schema))
            earlier = earlier.filter(self._is_complete(earlier))
            earlier = earlier.filter(pc.invert(pc.is_in(earlier[key], given[key].combine_chunks())))
            if len(earlier) > pc.count_distinct(earlier[key]).as_py():
                raise InputError(f"HISTORY has rows that repeat a {key}", "Give every row once.")
            given = pa.concat_tables([given, earlier], promote_options="default")
        made = self.preparation.run(given).select(self.columns)
        places = np.cumsum(complete.to_numpy()) - 1
        return made.take(pa.array(places, mask=~complete.to_numpy()))

    def _typed(self, part: pa.Table) -> pa.Table:
        columns = self.preparation.table.columns
        names = [name for name in self.preparation.given if name in part.column_names]
        return pa.table({name: _cast(part[name], columns[name].type) for name in names})

    def _is_complete(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return whether a row has all values that the schema demands, as every row has that was trained on."""
        columns, complete = self.preparation.table.columns, pa.chunked_array([np.ones(len(rows), dtype=np.bool_)])
        for name in rows.column_names:
            if name == self.preparation.table.key or not columns[name].nullable:
                complete = pc.and_(complete, pc.is_valid(rows[name]))
        return complete


def _cast(values: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray:
    """Return a column in a type of the schema; null where a value is of another type, so that its row is rejected."""
    wanted = arrow_type(kind)
    cast = cast_lossless(values, kind)
    if cast is not None:
        return cast.cast(wanted)
    encoded = values.combine_chunks().dictionary_encode()
    cells = [pa.chunked_array([encoded.dictionary.slice(i, 1)]) for i in range(len(encoded.dictionary))]
    casts = [cast_lossless(cell, kind) for cell in cells]
    readable = [None if cell is None else cell.cast(wanted)[0].as_py() for cell in casts]
    return pa.chunked_array([pa.array(readable, wanted).take(encoded.indices)])
