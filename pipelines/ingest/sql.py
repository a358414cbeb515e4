"""Source `sql`: the rows of a query to SQLite or PostgreSQL, in the types of the schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.config.ingest import Sql
from pipelines.config.table_schema import Table
from pipelines.ingest.month_files import Rows
from pipelines.ingest.typed import typed_rows
from pipelines.tables.query import read_query


def read_rows(spec: Sql, table: Table, root: Path, progress: Callable[[str], None]) -> Rows:
    """Return the rows of a query, which runs once: all rows are in memory.

    Args:
        root: the folder in which the relative path of a SQLite file starts.
        progress: called with a line that describes what begins.

    Raises:
        InputError: if the query or the address is wrong, or gives no rows.
        Unreachable: if the database does not respond.
    """
    progress(f"querying {spec.url}")
    parts = list(read_query(spec.url, spec.query, root))
    return typed_rows({"the query": lambda: iter(parts)}, spec, table)
