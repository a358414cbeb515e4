"""The scored table: written under another name, and there only when it is whole."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError
from pipelines.tables.urls import Place, place, reaching, said

_ENDS = (".parquet", ".csv")
_REMEDY = "Mend OUT, or make its bucket."


def target(name: str) -> Place:
    """The place of a table to write.

    Raises:
        InputError: if its name does not end in .parquet or .csv, or is that of a folder.
    """
    where = place(name)
    if not where.path.lower().endswith(_ENDS):
        raise InputError(f"{name}: not a name of a CSV or Parquet file", f"OUT must end in {' or '.join(_ENDS)}.")
    if where.is_local and where.filesystem.isdir(where.path):
        raise InputError(f"{name} is a folder", "Name a file in it.")
    return where


def rejects_of(out: Place) -> Place:
    """Where the rows go that were rejected: `scored.csv` has `scored.rejects.csv`."""

    def renamed(text: str) -> str:
        stem, dot, end = text.rpartition(".")
        return f"{stem}.rejects{dot}{end}"

    return Place(out.filesystem, renamed(out.path), renamed(out.name))


class Sink:
    """A table that is being written. Leaving the block without `commit` leaves what was there before."""

    def __init__(self, where: Place, schema: Any) -> None:
        """Write rows of `schema` for `where`."""
        self.where = where
        self.schema = schema
        self._temporary = _beside(where)
        self._file: Any = None
        self._writer: Any = None

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *error: object) -> None:
        self._discard()

    @property
    def is_open(self) -> bool:
        """Whether anything was written."""
        return self._writer is not None

    def write(self, batch: Any) -> None:
        """Add rows; the first call opens the file, be they none.

        Raises:
            InputError: if the format cannot hold a column, or there is no such bucket.
            Unreachable: if the disk is full, or the store does not answer.
        """
        with reaching(self.where.name, _REMEDY):
            if self._writer is None:
                self._open()
            if len(batch):
                self._writer.write_batch(batch)

    def _open(self) -> None:
        filesystem = self.where.filesystem
        if self.where.is_local:
            filesystem.makedirs(filesystem._parent(self.where.path), exist_ok=True)
        self._file = filesystem.open(self._temporary, "wb")
        try:
            if self.where.path.lower().endswith(".parquet"):
                self._writer = pq.ParquetWriter(self._file, self.schema)
            else:
                from pyarrow import csv

                self._writer = csv.CSVWriter(self._file, self.schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{self.where.name} cannot hold these columns: {said(error)}",
                "Let OUT end in .parquet, or leave out the columns of lists and records.",
            ) from error

    def finish(self) -> None:
        """Bring all bytes to the store, still under the other name."""
        with reaching(self.where.name, _REMEDY):
            self._writer.close()
            if self.where.is_local:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()

    def commit(self) -> None:
        """Give the finished file its name; what had it before is replaced."""
        with reaching(self.where.name, _REMEDY):
            if self.where.is_local:
                Path(self._temporary).replace(self.where.path)
            else:
                self.where.filesystem.mv(self._temporary, self.where.path)
            self._file = None

    def _discard(self) -> None:
        if self._file is None:
            return
        # Whatever goes wrong here comes after the fault that is being told, or after a finished table.
        for undo in (self._abort, self._writer_close, self._file.close, self._remove):
            with suppress(Exception):
                undo()

    def _abort(self) -> None:
        """Let an object store forget the parts that it has got; a local file has none."""
        self._file.discard()

    def _writer_close(self) -> None:
        self._writer.close()

    def _remove(self) -> None:
        self.where.filesystem.rm_file(self._temporary)


def remove(where: Place) -> None:
    """Remove the file of an earlier run, if there is one."""
    with reaching(where.name, _REMEDY):
        where.filesystem.invalidate_cache()
        if where.filesystem.exists(where.path):
            where.filesystem.rm_file(where.path)


def _beside(where: Place) -> str:
    folder, slash, name = where.path.rpartition("/")
    return f"{folder}{slash}.{name}.{secrets.token_hex(6)}"
