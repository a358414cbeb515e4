"""Files of the prediction log as the service writes them, gzipped lines of JSON, as Parquet."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

_MAX_LINE = 50_000_000
_MEMORY = "700MB"
_SOURCES = "sources"  # key of a Parquet file's metadata
_TYPES = {"text": "VARCHAR", "number": "DOUBLE", "integer": "BIGINT", "boolean": "BOOLEAN", "time": "DOUBLE"}


def first_row(path: Path) -> dict[str, Any] | None:
    """Return the first row of a file, None if there is none; all rows of a file are of one release."""
    try:
        with gzip.open(path) as file:
            row = json.loads(file.readline(_MAX_LINE))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def convert(paths: Sequence[Path], columns: Mapping[str, str], target: Path) -> list[Path]:
    """Write one Parquet file with the rows of all files that can be read with these columns.

    Args:
        columns: column -> kind, as `line_columns` returns them; absent values are null.

    Returns:
        The files that cannot. If no file can, none is written.
    """
    if not paths:
        return []
    try:
        _write(paths, columns, target)
    except duckdb.Error:
        unreadable = {path for path in paths if len(paths) == 1 or convert([path], columns, target)}
        target.unlink(missing_ok=True)
        if not unreadable:
            raise
        convert([path for path in paths if path not in unreadable], columns, target)
        return [path for path in paths if path in unreadable]
    return []


def read_sources(path: Path) -> frozenset[str]:
    """Return the names of the files that a Parquet file was converted from; none for others.

    Raises:
        pyarrow.ArrowException: if it is not a readable Parquet file.
    """
    metadata = pq.read_metadata(path).metadata or {}
    try:
        return frozenset(json.loads(metadata.get(_SOURCES.encode(), b"[]")))
    except (ValueError, TypeError):
        return frozenset()


def _write(paths: Sequence[Path], columns: Mapping[str, str], target: Path) -> None:
    types = ", ".join(f"{_text(name)}: {_text(_TYPES[kind])}" for name, kind in columns.items())
    files = ", ".join(_text(str(path)) for path in paths)
    values = ", ".join(f"{_value(name, kind)} AS {_name(name)}" for name, kind in columns.items())
    sources = json.dumps(sorted(path.name for path in paths))
    with duckdb.connect(config={"memory_limit": _MEMORY, "preserve_insertion_order": False}) as connection:
        connection.execute(
            f"COPY (SELECT {values} FROM read_json([{files}], columns={{{types}}}, format='newline_delimited', "  # noqa: S608 - quoted
            f"compression='gzip', hive_partitioning=false, maximum_object_size={_MAX_LINE})) TO {_text(str(target))} "
            f"(FORMAT parquet, KV_METADATA {{{_SOURCES}: {_text(sources)}}})"
        )


def _value(name: str, kind: str) -> str:
    if kind != "time":
        return _name(name)
    return f"make_timestamptz(TRY_CAST(round({_name(name)} * 1e6) AS BIGINT))"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
