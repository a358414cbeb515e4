"""The rows of a query to SQLite (standard library) or PostgreSQL (psycopg), as Arrow tables of texts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.cli.errors import InputError, Unreachable, first_line
from pipelines.tables.reader import BATCH_ROWS

SQLITE = "sqlite:///"


def read_query(url: str, query: str, root: Path) -> Iterator[pa.Table]:
    """Yield the rows of a query, every value as text: a column of SQLite may hold values of several types.

    Args:
        url: `sqlite:///file.db`, or `postgresql://user@host/database`, whose password is in PGPASSWORD or ~/.pgpass.
        root: the folder in which the path of a SQLite file starts.

    Raises:
        InputError: if the query is wrong, or gives no column.
        Unreachable: if the database does not respond.
    """
    connection, errors = _connect(url, root)
    with closing(connection), closing(connection.cursor()) as cursor:
        try:
            cursor.execute(query)
            names = [column[0] for column in cursor.description or ()]
            if not names or len(set(names)) < len(names):
                raise InputError(
                    f"the query gives {'a column twice' if names else 'no columns'}: {', '.join(names)}",
                    "Write a SELECT in which every column has a name of its own.",
                )
            first = True
            while (rows := cursor.fetchmany(BATCH_ROWS)) or first:
                first = False
                columns = [[_text(row[i]) for row in rows] for i in range(len(names))]
                yield pa.table([pa.array(column, pa.string()) for column in columns], names=names)
        except errors as error:
            raise InputError(f"the query failed: {first_line(error)}", "Correct ingest.query (QUERY=).") from error


def _connect(url: str, root: Path) -> tuple[Any, Any]:
    """Return a connection that changes nothing, and the class of its errors."""
    if url.startswith(SQLITE):
        path = (root / url.removeprefix(SQLITE)).resolve()
        if not path.is_file():
            raise InputError(f"{path}: no such file", "Correct ingest.url (TABLE=sqlite:///file.db).")
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True), sqlite3.Error
    import psycopg

    try:
        return psycopg.connect(url, options="-c default_transaction_read_only=on"), psycopg.Error
    except psycopg.Error as error:
        raise Unreachable(
            f"the database cannot be reached: {first_line(error)}",
            "Check ingest.url and the network, and set PGPASSWORD; then run again.",
        ) from None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return str(value.isoformat(" ") if hasattr(value, "hour") else value.isoformat())
    return str(value).lower() if isinstance(value, bool) else str(value)
