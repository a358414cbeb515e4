"""The table to score, as a stream of record batches, from one or many CSV or Parquet files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError
from pipelines.tables.urls import KINDS, Place, place, reaching, said

BATCH_ROWS = 65_536
_BLOCK_BYTES = 8 << 20
_REMEDY = "Replace the file, or name another IN."


@dataclass(frozen=True)
class Source:
    """A table in one or many files.

    Attributes:
        files: where it lies, in the order of the rows.
        schema: the columns of all files together; null where a file has not got one. A CSV's are text.
        rows: how many, if that is known beforehand.
    """

    files: tuple[Place, ...]
    schema: Any
    rows: int | None

    def batches(self) -> Iterator[Any]:
        """Record batches of the schema, of at most 65,536 rows each."""
        for file in self.files:
            with reaching(file.name, _REMEDY):
                for batch in _batches(file):
                    batch.validate(full=True)  # Arrow itself would let broken UTF-8 pass
                    fitted = _fitted(batch, self.schema)
                    for start in range(0, len(fitted), BATCH_ROWS):
                        yield fitted.slice(start, BATCH_ROWS)


def open_source(name: str, needed: Sequence[str]) -> Source:
    """Find the files of a table and read their headers.

    Args:
        name: a path or URL of a file, of a folder (with what is below it), or a pattern.
        needed: columns that every file must have.

    Raises:
        InputError: if there is no file, or one is unreadable, lacks a column, or does not go with the others.
        Unreachable: if the store does not answer.
    """
    files = _find(place(name))
    schemas, rows = [], []
    for file in files:
        with reaching(file.name, _REMEDY):
            schema, count = _header(file)
        _check_names(file.name, schema.names, needed)
        schemas.append(schema)
        rows.append(count)
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"the files of {name} do not go together: {said(error)}", "Give each column one type in all files."
        ) from error
    known = [count for count in rows if count is not None]
    return Source(tuple(files), schema, sum(known) if len(known) == len(rows) else None)


def _find(where: Place) -> list[Place]:
    """The files of a folder or pattern, sorted; hidden ones and those that begin with _ are left out."""
    filesystem, name = where.filesystem, where.name
    with reaching(name, "Mend IN, or put the file there."):
        # `exists` would take a store that does not answer for a file that is not there; `info` says which.
        is_pattern = any(sign in where.path for sign in "*?[") and not (
            where.is_local and filesystem.exists(where.path)
        )
        if is_pattern:
            seen = filesystem.glob(where.path, detail=True)
        elif (info := filesystem.info(where.path))["type"] == "directory":
            seen = filesystem.find(where.path, detail=True)
        else:
            seen = {where.path: info}
    if list(seen) == [where.path]:
        if not where.path.lower().endswith(KINDS):
            raise InputError(f"{name}: not a name of a CSV or Parquet file", f"IN must end in {', '.join(KINDS)}.")
        return [where]
    # What is hidden above the folder or the pattern's fixed part does not count.
    above = re.split(r"[*?\[]", where.path)[0].rpartition("/")[0] if is_pattern else where.path
    paths = sorted(
        path
        for path, info in seen.items()
        if info["type"] == "file"
        and path.lower().endswith(KINDS)
        and not any(part.startswith((".", "_")) for part in PurePosixPath(path.removeprefix(above).lstrip("/")).parts)
    )
    if not paths:
        raise InputError(f"{name}: no CSV or Parquet file there", "Mend IN, or put the files there.")
    if len({_is_parquet(path) for path in paths}) > 1:
        raise InputError(f"{name} holds CSV and Parquet files", "Name one kind by a pattern: folder/*.parquet.")
    return [Place(filesystem, path, path if where.is_local else filesystem.unstrip_protocol(path)) for path in paths]


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


def _check_names(name: str, names: Sequence[str], needed: Sequence[str]) -> None:
    if twice := sorted({column for column in names if list(names).count(column) > 1}):
        raise InputError(f"{name} has the column {', '.join(twice)} twice", "Mend the header.")
    if lacking := [column for column in needed if column not in names]:
        raise InputError(
            f"{name} lacks {', '.join(lacking)}, which the model reads",
            "Add the column; it may be empty where the schema lets values be missing.",
        )


def _header(file: Place) -> tuple[Any, int | None]:
    """The columns of a file, and its rows where it says how many."""
    with ExitStack() as stack:
        if _is_parquet(file.path):
            parquet = pq.ParquetFile(stack.enter_context(file.filesystem.open(file.path, "rb")))
            return parquet.schema_arrow.remove_metadata(), parquet.metadata.num_rows
        binary = stack.enter_context(file.filesystem.open(file.path, "rb", compression="infer"))
        if binary.read(4) == b"PAR1":
            raise InputError(f"{file.name} is a Parquet file under a CSV's name", "Rename it to .parquet.")
        binary.seek(0)
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        try:
            names = next(csv.reader(text), [])
        except csv.Error as error:
            raise InputError(f"{file.name} is not a CSV file: {error}", _REMEDY) from error
        finally:
            text.detach()
        if not names:
            raise InputError(f"{file.name} is empty, it has not even a header", _REMEDY)
        return pa.schema([(name, pa.string()) for name in names]), None


def _batches(file: Place) -> Iterator[Any]:
    if _is_parquet(file.path):
        with file.filesystem.open(file.path, "rb") as binary:
            yield from pq.ParquetFile(binary).iter_batches(BATCH_ROWS)
        return
    from pyarrow import csv as arrow_csv

    names = _header(file)[0].names
    with file.filesystem.open(file.path, "rb", compression="infer") as binary:
        yield from arrow_csv.open_csv(
            binary,
            read_options=arrow_csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )


def _fitted(batch: Any, schema: Any) -> Any:
    """The batch with the columns of the whole table."""
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
