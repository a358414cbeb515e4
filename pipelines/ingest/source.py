"""One CSV or Parquet file at an fsspec location, read part by part."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.cli.errors import InputError, Unreachable

PART_ROWS = 262_144
PART_BYTES = 16 << 20
STORES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "adlfs", "azure")  # packages whose errors mean the network
REMEDY = "Replace the file, or take it out of ingest.paths."


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """Turn what a file system raises into the error that names the file.

    Raises:
        InputError: if there is no such file.
        Unreachable: if the network, the rights or the credentials are at fault.
    """
    try:
        yield
    except FileNotFoundError as error:
        # fsspec's HTTP says so too where the server does not answer.
        if isinstance(error.__cause__, OSError):
            raise _unreachable(name, error.__cause__) from error
        raise InputError(f"{name}: no such file or bucket", "Mend ingest.paths, or put the file there.") from error
    except (pa.ArrowInvalid, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise _damaged(name, error) from error
    except OSError as error:
        raise (_damaged if _is_damage(error) else _unreachable)(name, error) from error
    except Exception as error:
        # Every store has errors of its own, with no common base but Exception.
        if type(error).__module__.split(".")[0] not in STORES:
            raise
        raise _unreachable(name, error) from error


def _damaged(name: str, error: Exception) -> InputError:
    return InputError(f"{name} cannot be read, it is truncated or of another kind: {_line(error)}", REMEDY)


def _unreachable(name: str, error: Exception) -> Unreachable:
    return Unreachable(f"{name} cannot be reached: {_line(error)}", "Check the address, rights and network.")


def _is_damage(error: OSError) -> bool:
    """Whether the file's content is at fault: Arrow and gzip say that with an OSError without a number."""
    return error.errno is None and type(error).__module__ in ("builtins", "gzip", "pyarrow.lib")


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


@dataclass(frozen=True)
class Source:
    """A file; `name` is what the user calls it."""

    filesystem: Any
    path: str
    name: str
    is_parquet: bool

    def parts(self) -> Iterator[pa.Table]:
        """Its rows; a CSV's columns are all text, and empty is null."""
        with reaching(self.name):
            yield from self._parquet() if self.is_parquet else self._csv()

    def _parquet(self) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        with self.filesystem.open(self.path, "rb") as file:
            parquet = pq.ParquetFile(file)
            for batch in parquet.iter_batches(PART_ROWS):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None)

    def _csv(self) -> Iterator[pa.Table]:
        from pyarrow import csv as arrow_csv

        names = self._header()
        with self.filesystem.open(self.path, "rb", compression="infer") as file:
            reader = arrow_csv.open_csv(
                file,
                read_options=arrow_csv.ReadOptions(block_size=PART_BYTES),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
                ),
            )
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def _header(self) -> list[str]:
        """The names in the first line."""
        with self.filesystem.open(self.path, "rb", compression="infer") as file:
            if file.read(4) == b"PAR1":
                raise InputError(f"{self.name} is a Parquet file under a CSV's name", "Rename it to .parquet.")
            file.seek(0)
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            names = next(csv.reader(text), [])
            text.detach()
        if not names:
            raise InputError(f"{self.name} is empty", REMEDY)
        return names


def open_source(filesystem: Any, path: str, name: str) -> Source:
    """A file by its name's end, which must be .parquet, .csv or .csv.gz, and which must not be empty."""
    lower = path.lower()
    if not lower.endswith((".parquet", ".csv", ".csv.gz")):
        raise InputError(f"{name}: not a name of a CSV or Parquet file", "Use .csv, .csv.gz or .parquet files.")
    with reaching(name):
        size = filesystem.size(path)
    if size == 0:
        raise InputError(f"{name} is empty", REMEDY)
    return Source(filesystem, path, name, lower.endswith(".parquet"))
