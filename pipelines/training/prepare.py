"""Stage `prepare`: write prepared/, which holds the rows of data/ with the columns that features/prepare.py makes."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError, unwritable_disk
from pipelines.cli.exit_codes import end_with_code
from pipelines.config.paths import PREPARED
from pipelines.config.read import read_sections
from pipelines.config.table_schema import Table, TableParams
from pipelines.tables.cast import ARROW, has_type
from pipelines.tables.data import DATA, GROUP_ROWS, parquet_files, parquet_writer
from pipelines.tables.preparation import FUNCTION, Preparation, load_preparation
from pipelines.training.preparation_checks import (
    Run,
    check_is_repeatable,
    check_is_row_wise,
    check_knows_only_the_past,
    prepared_apart,
)


class DataErrorFound(Exception):
    """The rows have an error, which the stage `validate` reports."""


def main() -> None:
    """Prepare the rows.

    Raises:
        InputError: if features/prepare.py may not be used: see docs/features.md.
    """
    table = read_sections(TableParams).table
    with prepared_apart(table) as run:
        preparation, files = load_preparation(table), parquet_files(DATA)
        print(prepare_files(preparation, files, run))


def prepare_files(preparation: Preparation, files: list[Path], run: Run) -> str:
    """Write prepared/, and return a line that describes what was done.

    Rows with an error that `validate` reports are copied without a call of the function: it need not cope with them.

    Raises:
        InputError: if the function may not be used, or data/ has a prepared column.
    """
    table = preparation.table
    in_data = {name for path in files for name in pq.read_schema(path).names}
    if clash := sorted(in_data & set(table.prepared)):
        raise InputError(
            f"data/ has the column {clash[0]}, which schema.columns marks as prepared",
            f"Remove `prepared` from {clash[0]} in params.yaml, or the column from the source of the rows.",
        )
    shutil.rmtree(PREPARED, ignore_errors=True)
    try:
        PREPARED.mkdir()
        try:
            if missing := [name for name in preparation.given if name not in in_data]:
                raise DataErrorFound(f"data/ has no column {missing[0]}")
            if not sum(pq.read_metadata(path).num_rows for path in files):
                raise DataErrorFound("data/ has no rows")
            parts = _prepare_by_parts if preparation.row_wise else _prepare_at_once
            for path, tables in parts(preparation, files, run):
                _write(PREPARED / path.name, tables)
        except DataErrorFound as error:
            _copy(files)
            return f"{FUNCTION} was not run: {error}"
        if not table.prepared:
            _copy(files)  # DVC keeps equal files once
    except OSError as error:
        raise unwritable_disk(f"{PREPARED}/ cannot be written: {error.strerror or error}") from error
    return f"{PREPARED}/: {', '.join(table.prepared) or 'no prepared column'}"


def _prepare_at_once(
    preparation: Preparation, files: list[Path], run: Run
) -> Iterator[tuple[Path, Iterable[pa.Table]]]:
    """Yield each file with its rows, all of which are prepared together in memory."""
    tables = [pq.read_table(path) for path in files]
    try:
        rows = pa.concat_tables([_given(table, preparation) for table in tables], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataErrorFound("a column has another type in one file than in another") from error
    _require_no_error(rows, preparation.table)
    columns = preparation.run(rows)
    if columns.column_names:
        check_knows_only_the_past(run, preparation.table, rows, columns)
        check_is_repeatable(run, rows, columns)
    start = 0
    for path, table in zip(files, tables, strict=True):
        yield path, [_joined(table, columns.slice(start, len(table)))]
        start += len(table)


def _prepare_by_parts(
    preparation: Preparation, files: list[Path], run: Run
) -> Iterator[tuple[Path, Iterable[pa.Table]]]:
    """Yield each file with its rows, a part of which is in memory at a time."""

    def prepared(path: Path) -> Iterator[pa.Table]:
        for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS):
            part = pa.Table.from_batches([batch])
            rows = _given(part, preparation)
            _require_no_error(rows, preparation.table)
            columns = preparation.run(rows)
            if columns.column_names:
                check_is_row_wise(run, rows, columns)
            yield _joined(part, columns)

    for path in files:
        yield path, prepared(path)


def _given(table: pa.Table, preparation: Preparation) -> pa.Table:
    """Return the columns that the function is given; one that only other files have is null."""
    columns = preparation.table.columns
    return pa.table(
        {
            name: table[name] if name in table.column_names else pa.nulls(len(table), ARROW[columns[name].type])
            for name in preparation.given
        }
    )


def _require_no_error(rows: pa.Table, table: Table) -> None:
    """Check what the function may rely on: types, values where the schema demands them, and keys.

    Raises:
        DataErrorFound: if one is wrong.
    """
    for name in rows.column_names:
        column = table.columns[name]
        if not has_type(dt.DataType.from_pyarrow(rows[name].type), column.type):
            raise DataErrorFound(f"data/ has {rows[name].type} in {name}; schema.columns expects {column.type}")
        if rows[name].null_count and (name == table.key or not column.nullable):
            raise DataErrorFound(f"data/ has rows without a value of {name}")
    if len(rows) > pc.count_distinct(rows[table.key]).as_py():
        raise DataErrorFound(f"data/ has rows that repeat a {table.key}")


def _joined(rows: pa.Table, columns: pa.Table) -> pa.Table:
    for name in columns.column_names:
        rows = rows.append_column(name, columns[name])
    return rows


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for table in tables:
            writer = writer or parquet_writer(path, table.schema)
            writer.write_table(table.combine_chunks(), row_group_size=GROUP_ROWS)
    finally:
        if writer is not None:
            writer.close()


def _copy(files: list[Path]) -> None:
    for path in files:
        shutil.copyfile(path, PREPARED / path.name)


if __name__ == "__main__":
    sys.exit(end_with_code(main))
