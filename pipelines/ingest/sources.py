"""Sources `files` and `sql`: their rows in the types of the schema, as far as the values allow it."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files, Sql
from pipelines.config.table_schema import Table
from pipelines.ingest.rows import Rows, add_key
from pipelines.tables.cast import UNITS, cast_lossless
from pipelines.tables.locations import Location
from pipelines.tables.query import read_query
from pipelines.tables.reader import CsvFormat, find_files, read_batches

Read = Callable[[], Iterator[pa.Table]]


def read_rows(spec: Files | Sql, table: Table, root: Path, progress: Callable[[str], None]) -> Rows:
    """Return the rows of all files, one file after another, or those of a query.

    They are read twice: first to learn which columns can take the type of the schema without loss, then for the rows.
    (A query runs once, and its rows are in memory.) A column that cannot take it in one of the files keeps its type,
    and so does a column that is not in the schema: validation reports both. A column that only some files have is null
    in the others.

    Args:
        root: the folder in which relative paths start.
        progress: called with a line that describes what begins.

    Raises:
        InputError: if a file is missing, empty or damaged, or does not fit the others; if the query is wrong.
        Unreachable: if a store or the database does not respond.
    """
    sources: dict[str, Read] = {}
    if isinstance(spec, Files):
        progress(f"reading {', '.join(spec.paths)}")
        form = CsvFormat(spec.separator, spec.encoding)
        for path in spec.paths:
            for file in find_files(path if "://" in path else str(root / path), "ingest.paths"):
                sources[file.name] = partial(_read_file, file, form)
    else:
        progress(f"querying {spec.url}")
        sources["the query"] = list(read_query(spec.url, spec.query, root)).__iter__
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
            key = "paths" if isinstance(spec, Files) else "query"
            raise InputError(f"{source} holds no rows", f"Replace it, or correct ingest.{key}.")
    names = [name for name in dict.fromkeys([*table.columns, *types]) if name in types]
    schema = pa.schema([(name, _common_type(types[name], lossless[name])) for name in names])
    typed = Rows(schema, _typed_parts(sources, spec, table, schema))
    return add_key(typed, table, spec.make_key) if spec.make_key else typed


def _read_file(file: Location, form: CsvFormat) -> Iterator[pa.Table]:
    return (pa.Table.from_batches([batch]) for batch in read_batches(file, form))


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


def _typed_parts(sources: Mapping[str, Read], spec: Files | Sql, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
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


def _named_parts(source: str, read: Read, spec: Files | Sql) -> Iterator[pa.Table]:
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
