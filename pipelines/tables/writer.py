"""Write a table to a temporary name, and give it its own name when it is complete."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError
from pipelines.tables.locations import Location, first_line, parse_location, store_errors

_EXTENSIONS = (".parquet", ".csv")


def parse_output(name: str, setting: str) -> Location:
    """Return the location of a table to write.

    Args:
        setting: the argument that holds the name, for error messages.

    Raises:
        InputError: if the name does not end in .parquet or .csv, or is that of a folder.
    """
    location = parse_location(name, setting)
    if not location.path.lower().endswith(_EXTENSIONS):
        raise InputError(
            f"{name} is not the name of a CSV or Parquet file", f"{setting} must end in {' or '.join(_EXTENSIONS)}."
        )
    if location.is_local and location.filesystem.isdir(location.path):
        raise InputError(f"{name} is a folder", "Name a file in it.")
    return location


def rejects_location(out: Location) -> Location:
    """Return where rejected rows go: for `scored.csv` it is `scored.rejects.csv`."""

    def renamed(text: str) -> str:
        stem, dot, extension = text.rpartition(".")
        return f"{stem}.rejects{dot}{extension}"

    return Location(out.filesystem, renamed(out.path), renamed(out.name), out.setting)


class TableWriter:
    """A table that is being written. Leaving the block without `commit` keeps the file that was there before."""

    def __init__(self, location: Location, schema: Any) -> None:
        """Write rows of `schema` to `location`."""
        self.location = location
        self.schema = schema
        self._temporary = _temporary_path(location)
        self._file: Any = None
        self._writer: Any = None

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._discard()

    @property
    def is_open(self) -> bool:
        """Whether `write` was called."""
        return self._writer is not None

    def write(self, batch: Any) -> None:
        """Add rows; the first call opens the file, even for a batch without rows.

        Raises:
            InputError: if the format cannot hold a column, or the bucket does not exist.
            Unreachable: if the disk is full, or the store does not answer.
        """
        with store_errors(self.location):
            if self._writer is None:
                self._open()
            if len(batch):
                self._writer.write_batch(batch)

    def _open(self) -> None:
        filesystem = self.location.filesystem
        if self.location.is_local:
            filesystem.makedirs(filesystem._parent(self.location.path), exist_ok=True)
        self._file = filesystem.open(self._temporary, "wb")
        try:
            if self.location.path.lower().endswith(".parquet"):
                self._writer = pq.ParquetWriter(self._file, self.schema)
            else:
                from pyarrow import csv

                self._writer = csv.CSVWriter(self._file, self.schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{self.location.name} cannot hold these columns: {first_line(error)}",
                f"Let {self.location.setting} end in .parquet, or drop the columns of lists and records.",
            ) from error

    def finish(self) -> None:
        """Write all bytes to the store, still under the temporary name."""
        with store_errors(self.location):
            self._writer.close()
            if self.location.is_local:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()

    def commit(self) -> None:
        """Give the finished file its name, replacing an earlier file of that name."""
        with store_errors(self.location):
            if self.location.is_local:
                Path(self._temporary).replace(self.location.path)
            else:
                self.location.filesystem.mv(self._temporary, self.location.path)
            self._file = None

    def _discard(self) -> None:
        if self._file is None:
            return
        # An error here must not hide the error that led here, nor fail a table that is complete.
        for undo in (self._abort_upload, self._close_writer, self._file.close, self._remove_temporary):
            with suppress(Exception):
                undo()

    def _abort_upload(self) -> None:
        """Let an object store delete the parts that it received; a local file has no such method."""
        self._file.discard()

    def _close_writer(self) -> None:
        self._writer.close()

    def _remove_temporary(self) -> None:
        self.location.filesystem.rm_file(self._temporary)


def remove_file(location: Location) -> None:
    """Remove the file of an earlier run, if there is one."""
    with store_errors(location):
        location.filesystem.invalidate_cache()
        if location.filesystem.exists(location.path):
            location.filesystem.rm_file(location.path)


def _temporary_path(location: Location) -> str:
    folder, slash, name = location.path.rpartition("/")
    return f"{folder}{slash}.{name}.{secrets.token_hex(6)}"
