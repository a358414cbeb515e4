"""Paths and URLs, and what their stores raise as the errors that this project knows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from pipelines.cli.errors import InputError, MainlineError, Unreachable

KINDS = (".parquet", ".csv", ".csv.gz")
# The packages behind fsspec's URLs; their errors have no common base but Exception.
_STORES = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "adlfs", "azure"}


@dataclass(frozen=True)
class Place:
    """Something at a path of a file system; `name` is what the user calls it."""

    filesystem: Any
    path: str
    name: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's disks."""
        return isinstance(self.filesystem, LocalFileSystem)

    def is_same(self, other: Place) -> bool:
        """Whether two names mean one file; links are followed on local disks."""
        if self.is_local and other.is_local:
            return Path(self.path).resolve() == Path(other.path).resolve()
        return type(self.filesystem) is type(other.filesystem) and self.path == other.path


def place(name: str) -> Place:
    """The place that a path or URL names.

    Raises:
        InputError: if it is no path and no URL that fsspec knows.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(name)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{name}: {said(error)}", "Give a path, or a URL such as s3://bucket/table.parquet."
        ) from error
    return Place(filesystem, path, name)


@contextmanager
def reaching(name: str, remedy: str) -> Iterator[None]:
    """Turn what a store or a reader raises into an error that names the file.

    Raises:
        InputError: if there is no such file, or its content is at fault; with `remedy`.
        Unreachable: if the disk, the network, the rights or the credentials are.
    """
    try:
        yield
    except MainlineError:
        raise
    except FileNotFoundError as error:
        # fsspec's HTTP says so too where the server does not answer.
        if isinstance(error.__cause__, OSError):
            raise _unreachable(name, error.__cause__) from error
        raise InputError(f"{name}: no such file, folder or bucket", remedy) from error
    except (pa.ArrowException, EOFError, UnicodeError, zlib.error) as error:
        raise _damaged(name, remedy, error) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is None and _is_of_a_reader(error):
            raise _damaged(name, remedy, error) from error
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _STORES:
            raise _unreachable(name, error) from error
        raise


def _damaged(name: str, remedy: str, error: Exception) -> InputError:
    return InputError(f"{name} cannot be read, it is damaged or of another kind: {said(error)}", remedy)


def _unreachable(name: str, error: Exception) -> Unreachable:
    return Unreachable(
        f"{name} cannot be reached: {said(error)}", "Check disk space, address, rights and network; run again."
    )


def _is_of_a_reader(error: OSError) -> bool:
    # Arrow and gzip report damaged content by an OSError without a number.
    return type(error).__module__ in ("builtins", "gzip", "pyarrow.lib")


def said(error: BaseException) -> str:
    """The first line of what an error says."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:200]
