"""The rows of a source in the types of the schema, as far as their values allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files, Sql
from pipelines.config.table_schema import Table
from pipelines.ingest.made_key import add_key
from pipelines.ingest.month_files import Rows
from pipelines.tables.cast import UNITS, cast_lossless

Sources = Mapping[str, Callable[[], Iterator[pa.Table]]]
"""Name of a file or query -> its rows, which are read twice."""


def typed_rows(sources: Sources, spec: Files | Sql, table: Table) -> Rows:
    """Return the rows of all sources, one source after another.

    The sources are read twice: first to learn which columns can take the type of the schema without loss, then for the
    rows. A column that cannot take it in one of the sources keeps its type, and so does a column that is not in the
    schema: validation reports both. A column that only some sources have is null in the others.

    Raises:
        InputError: if a source holds no rows, or does not fit the others.
    """
    types: dict[str, set[pa.DataType]] = {}
    lossless: dict[str, set[pa.DataType | None]] = {}
    for source, read in sources.items():
        rows = 0
        for part in _named_parts(source, read, spec):
            rows += len(part)
            for name in part.column_names:
                cast = _cast(part[name], name, spec, table)
                types.setdefault(name, set()).add(part[name].type)
                lossless.setdefault(name, set()).add(None if cast is None else cast.type)
        if not rows:
            raise InputError(f"{source} holds no rows", f"Replace it, or remove it from ingest.{_key(spec)}.")
    names = [name for name in dict.fromkeys([*table.columns, *types]) if name in types]
    schema = pa.schema([(name, _common_type(types[name], lossless[name])) for name in names])
    typed = Rows(schema, _typed_parts(sources, spec, table, schema))
    return add_key(typed, table, spec.make_key) if spec.make_key else typed


def _key(spec: Files | Sql) -> str:
    return "paths" if isinstance(spec, Files) else "query"


def _cast(values: Any, name: str, spec: Files | Sql, table: Table) -> Any:
    """Return a column in the type of the schema, or None if it is not in the schema or a value would change."""
    if name not in table.columns:
        return None
    return cast_lossless(values, table.columns[name].type, spec.decimal, spec.dates.get(name))


def _common_type(types: set[pa.DataType], lossless: set[pa.DataType | None]) -> pa.DataType:
    """Return the type of a column that came in some types, and in others (None if it cannot) after lossless casts."""
    casts = [kind for kind in lossless if kind is not None]
    if len(casts) == len(lossless):
        # They differ only in the unit of a time: take the finest.
        return max(casts, key=lambda kind: UNITS.index(getattr(kind, "unit", "s")))
    present = [kind for kind in types if not pa.types.is_null(kind)]
    return present[0] if len(present) == 1 else pa.string()


def _typed_parts(sources: Sources, spec: Files | Sql, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    for source, read in sources.items():
        for part in _named_parts(source, read, spec):
            yield pa.table([_typed_column(part, column, spec, table, source) for column in schema], schema=schema)


def _typed_column(part: pa.Table, column: pa.Field, spec: Files | Sql, table: Table, source: str) -> Any:
    if column.name not in part.column_names:
        return pa.nulls(len(part), column.type)
    values = part[column.name]
    cast = None if column.type == values.type else _cast(values, column.name, spec, table)
    try:
        return (values if cast is None else cast).cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{source}: column {column.name} has another type ({values.type}) than in the other files",
            "Give the column one type in all files.",
        ) from error


def _named_parts(source: str, read: Callable[[], Iterator[pa.Table]], spec: Files | Sql) -> Iterator[pa.Table]:
    """Yield the rows of a source with the column names of the schema, and null for cells that mean a missing value."""
    remedy = "Correct ingest.rename and ingest.drop in params.yaml, or the header."
    missing = pa.array(spec.missing, pa.string())
    for part in read():
        if part.num_columns == 1 and any(sign in part.column_names[0] for sign in ";\t|"):
            raise InputError(
                f"{source} has one column, {part.column_names[0][:60]!r}, which looks like several",
                "Set ingest.separator in params.yaml.",
            )
        if absent := [name for name in (*spec.rename, *spec.drop) if name not in part.column_names]:
            raise InputError(
                f"{source} has no column {', '.join(absent)}, which ingest.rename or ingest.drop names", remedy
            )
        part = part.drop_columns(list(spec.drop))
        names = [spec.rename.get(name, name) for name in part.column_names]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"{source} would have the column {', '.join(repeated)} twice", remedy)
        columns = [
            pc.if_else(pc.is_in(column, missing), pa.scalar(None, pa.string()), column)
            if len(missing) and pa.types.is_string(column.type)
            else column
            for column in part.columns
        ]
        yield pa.table(columns, names=names)
