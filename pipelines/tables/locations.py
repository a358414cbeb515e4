"""Paths and URLs of tables, and the errors of reading and writing there."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from pipelines.cli.errors import InputError, MainlineError, Unreachable, first_line

PREDICTION_LOG = "PREDICTION_LOG"
# The packages behind fsspec's URLs; their errors have no common base but Exception.
_STORES = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "adlfs", "azure"}


class NoFile(InputError):
    """There is no such file, folder or bucket, or no table in it."""


@dataclass(frozen=True)
class Location:
    """A path of a file system.

    Attributes:
        name: the path or URL as messages show it.
        setting: the argument or key that names it, for remedies: IN, OUT or ingest.paths.
    """

    filesystem: Any
    path: str
    name: str
    setting: str

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    def is_same_file(self, other: Location) -> bool:
        """Whether two locations are one file; links are followed on local disks."""
        if self.is_local and other.is_local:
            return Path(self.path).resolve() == Path(other.path).resolve()
        return type(self.filesystem) is type(other.filesystem) and self.path == other.path


def parse_location(name: str, setting: str) -> Location:
    """Return the location that a path or URL names.

    Raises:
        InputError: if fsspec knows no such URL.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(name)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{setting}: {name}: {first_line(error)}", "Use a path, or a URL such as s3://bucket/table.parquet."
        ) from error
    return Location(filesystem, path, name, setting)


def prediction_log() -> str | None:
    """Return the path or URL that PREDICTION_LOG names; None if it is not set, or `off`."""
    name = os.environ.get(PREDICTION_LOG, "").rstrip("/")
    return None if name in ("", "off") else name


@contextmanager
def store_errors(location: Location) -> Iterator[None]:
    """Replace the errors of a store or of a file's reader by errors that name the file.

    Raises:
        NoFile: if there is no such file.
        InputError: if its content cannot be read.
        Unreachable: if the disk, the network, the access rights or the credentials fail.
    """
    try:
        yield
    except MainlineError:
        raise
    except Exception as error:
        if _is_damage(error):
            raise InputError(
                f"{location.name} cannot be read; it is damaged or not of the type of its name: {first_line(error)}",
                f"Replace the file, or change {location.setting}.",
            ) from error
        if isinstance(error, ValueError) and "range requests" in str(error):
            raise InputError(
                f"{location.name} can only be read from its beginning: the server does not support range requests",
                f"Download the file, and change {location.setting}.",
            ) from error
        # fsspec's HTTP also raises FileNotFoundError when the server does not respond.
        if isinstance(error, FileNotFoundError) and not isinstance(error.__cause__, OSError):
            raise NoFile(
                f"{location.name}: no such file, folder or bucket", f"Correct {location.setting}, or create it."
            ) from error
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _STORES:
            raise Unreachable(
                f"{location.name} cannot be reached: {first_line(error.__cause__ or error)}",
                "Check disk space, address, access rights and network; then run again.",
            ) from error
        raise


def _is_damage(error: Exception) -> bool:
    if isinstance(error, OSError):
        # Arrow and gzip report damaged content by an OSError without a number.
        return error.errno is None and type(error) in (OSError, gzip.BadGzipFile)
    return isinstance(error, pa.ArrowException | EOFError | UnicodeError | csv.Error | zlib.error)
