"""Source `files`: rows of CSV and Parquet files at paths and fsspec URLs, in the types of the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files
from pipelines.config.table_schema import Table
from pipelines.ingest.month_files import Rows
from pipelines.tables.cast import UNITS, cast_lossless
from pipelines.tables.locations import Location
from pipelines.tables.reader import find_files, read_batches

SETTING = "ingest.paths"


def read_rows(spec: Files, table: Table, root: Path, progress: Callable[[str], None]) -> Rows:
    """Return the rows of all files, one file after another.

    The files are read twice: first to learn which columns can take the type of the schema without loss, then for the
    rows. A column that cannot take it in one of the files keeps its type, and so does a column that is not in the
    schema: validation reports both. A column that only some files have is null in the others.

    Args:
        root: the folder in which relative paths start.
        progress: called with a line that describes what begins.

    Raises:
        InputError: if a file is missing, empty or damaged, or does not fit the others.
        Unreachable: if a store does not respond.
    """
    progress(f"reading {', '.join(spec.paths)}")
    files: dict[str, Location] = {}
    for path in spec.paths:
        files |= {file.name: file for file in find_files(path if "://" in path else str(root / path), SETTING)}
    types: dict[str, set[pa.DataType]] = {}
    lossless: dict[str, set[pa.DataType | None]] = {}
    for file in files.values():
        rows = 0
        for part in _renamed_parts(file, spec):
            rows += len(part)
            for name in part.column_names:
                cast = _cast(part[name], name, table)
                types.setdefault(name, set()).add(part[name].type)
                lossless.setdefault(name, set()).add(None if cast is None else cast.type)
        if not rows:
            raise InputError(f"{file.name} holds no rows", f"Replace the file, or remove it from {SETTING}.")
    names = [name for name in dict.fromkeys([*table.columns, *types]) if name in types]
    schema = pa.schema([(name, _common_type(types[name], lossless[name])) for name in names])
    return Rows(schema, _typed_parts(list(files.values()), spec, table, schema))


def _cast(values: Any, name: str, table: Table) -> Any:
    """Return a column in the type of the schema, or None if it is not in the schema or a value would change."""
    return cast_lossless(values, table.columns[name].type) if name in table.columns else None


def _common_type(types: set[pa.DataType], lossless: set[pa.DataType | None]) -> pa.DataType:
    """Return the type of a column that came in some types, and in others (None if it cannot) after lossless casts."""
    casts = [kind for kind in lossless if kind is not None]
    if len(casts) == len(lossless):
        # They differ only in the unit of a time: take the finest.
        return max(casts, key=lambda kind: UNITS.index(getattr(kind, "unit", "s")))
    present = [kind for kind in types if not pa.types.is_null(kind)]
    return present[0] if len(present) == 1 else pa.string()


def _typed_parts(files: list[Location], spec: Files, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    for file in files:
        for part in _renamed_parts(file, spec):
            yield pa.table([_typed_column(part, column, table, file) for column in schema], schema=schema)


def _typed_column(part: pa.Table, column: pa.Field, table: Table, file: Location) -> Any:
    if column.name not in part.column_names:
        return pa.nulls(len(part), column.type)
    values = part[column.name]
    cast = None if column.type == values.type else _cast(values, column.name, table)
    try:
        return (values if cast is None else cast).cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{file.name}: column {column.name} has another type ({values.type}) than in the other files",
            "Give the column one type in all files.",
        ) from error


def _renamed_parts(file: Location, spec: Files) -> Iterator[pa.Table]:
    """Yield the rows of a file as tables, with the column names of the schema."""
    remedy = "Correct ingest.rename in params.yaml, or the header of the file."
    for batch in read_batches(file):
        part = pa.Table.from_batches([batch])
        if missing := [name for name in spec.rename if name not in part.column_names]:
            raise InputError(f"{file.name} has no column {', '.join(missing)}, which ingest.rename names", remedy)
        names = [spec.rename.get(name, name) for name in part.column_names]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"{file.name} would have the column {', '.join(repeated)} twice", remedy)
        yield part.rename_columns(names)
