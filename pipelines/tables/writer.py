"""Write a table to a temporary name, and give it its own name when it is complete."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError, first_line
from pipelines.tables.locations import Location, parse_location, store_errors

_EXTENSIONS = (".parquet", ".csv")


def parse_output(name: str, setting: str) -> Location:
    """Return the location of a table to write; `setting` is the argument that holds the name, for error messages.

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
    path, name = (".rejects.".join(text.rsplit(".", 1)) for text in (out.path, out.name))
    return Location(out.filesystem, path, name, out.setting)


class TableWriter:
    """A table that is being written. Leaving the block without `commit` keeps the file that was there before."""

    def __init__(self, location: Location, schema: Any) -> None:
        """Write rows of `schema` to `location`."""
        self.location = location
        self.schema = schema
        folder, slash, name = location.path.rpartition("/")
        self._temporary = f"{folder}{slash}.{name}.{secrets.token_hex(6)}"
        self._file: Any = None
        self._writer: Any = None

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        # An error here must not hide the error that led here.
        with suppress(Exception):
            self._file.discard()  # an object store deletes the parts that it received
        with suppress(Exception):
            self._writer.close()
        with suppress(Exception):
            self._file.close()
        with suppress(Exception):
            self.location.filesystem.rm_file(self._temporary)

    @property
    def is_open(self) -> bool:
        """Whether `write` was called."""
        return self._writer is not None

    def write(self, batch: Any) -> None:
        """Add rows; the first call opens the file, even for a batch without rows."""
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
                self._writer = arrow_csv.CSVWriter(self._file, self.schema)
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


def remove_file(location: Location) -> None:
    """Remove the file of an earlier run, if there is one."""
    with store_errors(location):
        location.filesystem.invalidate_cache()
        if location.filesystem.exists(location.path):
            location.filesystem.rm_file(location.path)
