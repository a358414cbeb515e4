"""The rows of data/ and prepared/ as an Ibis table, and columns of it as NumPy arrays."""

from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError, first_line
from pipelines.config.paths import PREPARED
from pipelines.config.table_schema import TableParams

DATA = Path("data")
MEMORY = "2GB"
GROUP_ROWS = 262_144  # rows of a row group


def connect() -> ibis.BaseBackend:
    """Return a DuckDB in memory, which writes to disk what exceeds 2 GB."""
    return ibis.duckdb.connect(memory_limit=MEMORY, preserve_insertion_order=False)


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files of data/ or prepared/, by name.

    Raises:
        InputError: if there is no file, or one is not a readable Parquet file.
    """
    files = sorted(folder.glob("*.parquet"))
    command, pointer = ("make data", "data.dvc") if folder.name == DATA.name else ("make repro", folder.name)
    if not files:
        raise InputError(f"{folder}/ holds no Parquet file", f"Run `{command}`, or `dvc pull`.")
    for path in files:
        try:
            pq.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path} is not a readable Parquet file: {first_line(error)}",
                f"Restore it (`dvc checkout --force {pointer}`), or remove {folder}/ and run `{command}`.",
            ) from error
    return files


def read_rows(connection: ibis.BaseBackend, folder: Path = PREPARED) -> ir.Table:
    """Return all rows of prepared/.

    Raises:
        InputError: if there is no file, or one is not a readable Parquet file.
    """
    return connection.read_parquet([str(path) for path in parquet_files(folder)], union_by_name=True)


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a file of data/ or prepared/, whose bytes depend on nothing but its rows."""
    return pq.ParquetWriter(path, schema.remove_metadata(), compression="zstd", compression_level=3, version="2.6")


def target_value(table: ir.Table, params: TableParams) -> ir.Value:
    """Return the target as a number: 1 for the positive class and 0 for others, or the value; null where missing."""
    column = table[params.table.target]
    if params.task == "regression":
        return column.cast("float64")
    return (column.cast("string") == params.table.positive).cast("int8")


def to_numpy(table: Any, name: str) -> npt.NDArray[Any]:
    """Return a column of an Arrow table as datetime64[s], float (null is NaN) or objects (null is None); shape (n,)."""
    values = table[name].combine_chunks()
    if pa.types.is_timestamp(values.type):
        return np.asarray(values.cast(pa.timestamp("s"), safe=False).to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=object)
