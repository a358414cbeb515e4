"""Source `files`: rows of CSV and Parquet files at paths and fsspec URLs, in the types of the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files
from pipelines.config.table_schema import Table
from pipelines.ingest.cast import cast_lossless
from pipelines.ingest.month_files import Rows
from pipelines.tables.column_types import ARROW
from pipelines.tables.locations import Location
from pipelines.tables.reader import find_files, read_batches

BATCH_ROWS = 262_144
BLOCK_BYTES = 16 << 20
SETTING = "ingest.paths"


def read_rows(spec: Files, table: Table, root: Path, progress: Callable[[str], None]) -> Rows:
    """Return the rows of all files, one file after another.

    The files are read twice: first to learn which columns can take the type of the schema without loss, then for the
    rows. A column that cannot, in any file, keeps its type, and so does a column that the schema does not have:
    validation reports both. A column that only some files have is null in the others.

    Args:
        root: the folder in which relative paths start.
        progress: called with a line that says what begins.

    Raises:
        InputError: if a file is missing, empty or damaged, or does not fit the others.
        Unreachable: if a store does not answer.
    """
    progress(f"reading {', '.join(spec.paths)}")
    found = [file for path in spec.paths for file in find_files(path if "://" in path else str(root / path), SETTING)]
    files = list({file.name: file for file in found}.values())
    plans: dict[str, _ColumnPlan] = {}
    for file in files:
        _update_plans(file, spec, table, plans)
    order = [name for name in table.columns if name in plans] + [name for name in plans if name not in table.columns]
    schema = pa.schema([(name, plans[name].type()) for name in order])
    return Rows(schema, _typed_parts(files, spec, table, schema))


@dataclass
class _ColumnPlan:
    """The type that a column gets, by the parts of the table read so far.

    Attributes:
        is_lossless: whether all parts can take the type of the schema.
        target: the type of the schema in Arrow, with the finest unit of time so far.
        types: the types in which the parts came.
    """

    is_lossless: bool
    target: pa.DataType
    types: list[pa.DataType] = field(default_factory=list)

    def type(self) -> pa.DataType:
        if self.is_lossless:
            return self.target
        types = [kind for kind in self.types if not pa.types.is_null(kind)]
        return types[0] if len(set(types)) == 1 else pa.string()


def _update_plans(file: Location, spec: Files, table: Table, plans: dict[str, _ColumnPlan]) -> None:
    rows = 0
    for part in _renamed_parts(file, spec):
        rows += len(part)
        for name in part.column_names:
            values = part[name]
            column = table.columns.get(name)
            kind = column.type if column else None
            plan = plans.setdefault(name, _ColumnPlan(kind is not None, ARROW[kind] if kind else pa.null()))
            plan.types.append(values.type)
            if plan.is_lossless and kind is not None:
                typed = cast_lossless(values, kind)
                plan.is_lossless = typed is not None
                if typed is not None and pa.types.is_timestamp(typed.type):
                    plan.target = _finer(plan.target, typed.type)
    if not rows:
        raise InputError(f"{file.name} holds no rows", f"Replace the file, or remove it from {SETTING}.")


def _finer(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    units = ["s", "ms", "us"]
    return max(left, right, key=lambda time: units.index(time.unit))


def _typed_parts(files: list[Location], spec: Files, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    for file in files:
        for part in _renamed_parts(file, spec):
            yield pa.table([_typed_column(part, column, table, file) for column in schema], schema=schema)


def _typed_column(part: pa.Table, column: pa.Field, table: Table, file: Location) -> Any:
    if column.name not in part.column_names:
        return pa.nulls(len(part), column.type)
    values = part[column.name]
    described = table.columns.get(column.name)
    typed = cast_lossless(values, described.type) if described else None
    try:
        return (values if typed is None or column.type == values.type else typed).cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{file.name}: column {column.name} has another type ({values.type}) than in the other files",
            "Give the column one type in all files.",
        ) from error


def _renamed_parts(file: Location, spec: Files) -> Iterator[pa.Table]:
    """Yield the rows of a file as tables, with the column names of the schema."""
    for batch in read_batches(file, BATCH_ROWS, BLOCK_BYTES):
        part = pa.Table.from_batches([batch])
        if missing := [name for name in spec.rename if name not in part.column_names]:
            raise InputError(
                f"{file.name} has no column {', '.join(missing)}, which ingest.rename names",
                "Correct ingest.rename in params.yaml, or the header of the file.",
            )
        names = [spec.rename.get(name, name) for name in part.column_names]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                f"{file.name} would have the column {', '.join(repeated)} twice",
                "Correct ingest.rename in params.yaml, or the header of the file.",
            )
        yield part.rename_columns(names)
