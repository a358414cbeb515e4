"""Source `files`: rows of CSV and Parquet files at paths and fsspec URLs, in the types of the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipelines.config.ingest import Files
from pipelines.config.table_schema import Table
from pipelines.ingest.month_files import Rows
from pipelines.ingest.typed import typed_rows
from pipelines.tables.locations import Location
from pipelines.tables.reader import CsvFormat, find_files, read_batches

SETTING = "ingest.paths"


def read_rows(spec: Files, table: Table, root: Path, progress: Callable[[str], None]) -> Rows:
    """Return the rows of all files, one file after another.

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
    form = CsvFormat(spec.separator, spec.encoding)
    return typed_rows({name: partial(_tables, file, form) for name, file in files.items()}, spec, table)


def _tables(file: Location, form: CsvFormat) -> Iterator[pa.Table]:
    for batch in read_batches(file, form):
        yield pa.Table.from_batches([batch])
