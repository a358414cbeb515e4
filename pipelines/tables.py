"""Tables as Ibis expressions: DuckDB runs them today, Spark or a warehouse can tomorrow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.config import Params, SplitByHash, SplitByTime
from pipelines.errors import InputError
from pipelines.scorer import Input, encode

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = ("train", "validation", "test")
DATA = Path("data")
SPLIT = Path("models/split.json")
MEMORY = "2GB"


def connect() -> ibis.BaseBackend:
    """A DuckDB in memory that spills to disk rather than grow beyond 2 GB."""
    return ibis.duckdb.connect(memory_limit=MEMORY, preserve_insertion_order=False)


def read_data(connection: ibis.BaseBackend, folder: Path = DATA) -> ir.Table:
    """All rows of data/.

    Raises:
        InputError: if there is no file, or one of them is not a readable Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(f"{folder}/ holds no Parquet file", "Bring the data: `make data`, or `dvc pull`.")
    for path in files:
        try:
            pq.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0][:160]
            raise InputError(
                f"{path} is not a readable Parquet file: {reason}",
                f"Restore it (`dvc checkout --force data.dvc`) or remove {folder}/ and run `make data`.",
            ) from error
    table: ir.Table = connection.read_parquet([str(path) for path in files], union_by_name=True)
    return table


def label(table: ir.Table, params: Params) -> ir.Value:
    """The target as a number: 1 for the positive class, or the value; null where it is not known."""
    column = table[params.table.target]
    if params.task == "regression":
        return column.cast("float64")
    return (column.cast("string") == params.table.positive).cast("int8")


def _bucket(table: ir.Table, column: str, salt: str) -> ir.StringValue:
    """Eight hexadecimal digits, evenly spread; comparing them as text is comparing them as numbers."""
    text = ibis.literal(f"{salt}:") + table[column].cast("string")
    digest: ir.StringValue = text.hexdigest("sha256").substr(0, 8)
    return digest


def _hex(share: float) -> str:
    return f"{min(int(share * 2**32), 2**32 - 1):08x}"


def boundaries(table: ir.Table, params: Params) -> dict[str, Any]:
    """The split of a table, small enough to be kept: instants, or salt and shares.

    Test is the newest matured part and validation the one before it; nothing is drawn at random.
    """
    split = params.split
    if isinstance(split, SplitByHash):
        column = split.column or params.table.key
        return {"by": "hash", "salt": split.salt, "column": column, "test": split.test, "validation": split.validation}
    assert isinstance(split, SplitByTime)
    newest = table[params.table.event_time].max().execute()
    as_of = newest.to_pydatetime().replace(tzinfo=UTC)
    matured = as_of - timedelta(days=params.table.label_delay_days)
    test = matured - timedelta(days=split.test_days)
    validation = test - timedelta(days=split.validation_days)
    moments = {"matured": matured, "test_from": test, "validation_from": validation}
    return {"by": "time", "column": params.table.event_time} | {k: v.isoformat() for k, v in moments.items()}


def on_side(table: ir.Table, split: dict[str, Any], side: Side) -> ir.BooleanValue:
    """Whether a row belongs to a side of the split (its label aside)."""
    if split["by"] == "hash":
        bucket = _bucket(table, split["column"], split["salt"])
        test, validation = _hex(split["test"]), _hex(split["test"] + split["validation"])
        conditions = {
            "test": bucket < test,
            "validation": (bucket >= test) & (bucket < validation),
            "train": bucket >= validation,
        }
        return conditions[side]
    when = table[split["column"]]
    matured, test, validation = (_instant(split[name]) for name in ("matured", "test_from", "validation_from"))
    conditions = {
        "test": (when >= test) & (when <= matured),
        "validation": (when >= validation) & (when < test),
        "train": when < validation,
    }
    return conditions[side]


def _instant(text: str) -> ir.TimestampScalar:
    # Without a zone: the files hold UTC, and a zone here would make the engine convert.
    literal: ir.TimestampScalar = ibis.timestamp(datetime.fromisoformat(text).replace(tzinfo=None).isoformat())
    return literal


def side(table: ir.Table, params: Params, split: dict[str, Any], name: Side) -> ir.Table:
    """Rows of one side with a known label, in a fixed order (event time, then key)."""
    rows = table.filter(table[params.table.target].notnull() & on_side(table, split, name))
    order = [column for column in (params.table.event_time, params.table.key) if column]
    return rows.order_by(order)


def unseen(
    table: ir.Table, signature_until: str | None, signature_split: dict[str, Any] | None, event_time: str | None
) -> ir.BooleanValue:
    """Whether a model with this `trained_until` or `split` did not see a row (validation chose its threshold)."""
    if signature_split is not None:
        return on_side(table, signature_split, "test")
    if signature_until is None or event_time is None:
        return ibis.literal(True)
    unseen_rows: ir.BooleanValue = table[event_time] >= _instant(signature_until)
    return unseen_rows


def load_split(path: Path = SPLIT) -> dict[str, Any]:
    """Read models/split.json.

    Raises:
        InputError: if it is missing.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Reproduce the pipeline: `make review`.") from error
    return document


class Rows:
    """Rows in memory: encoded inputs for the scorer, the target, and other columns by name."""

    def __init__(self, table: Any, params: Params, inputs: tuple[Input, ...], target: npt.NDArray[np.float64]) -> None:
        """Encode an Arrow table; `target` is of shape (n,)."""
        self.arrow = table
        self.target = target
        self.inputs = {item.name: encode(item, column(table, item.name)) for item in inputs}

    def __len__(self) -> int:
        return len(self.target)


def column(table: Any, name: str) -> npt.NDArray[Any]:
    """A column of an Arrow table as NumPy: datetime64[s], float (null is NaN) or objects (null is None)."""
    import pyarrow as pa

    values = table[name].combine_chunks()
    if pa.types.is_timestamp(values.type):
        return np.asarray(values.cast(pa.timestamp("s"), safe=False).to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=object)


def load(table: ir.Table, params: Params, inputs: tuple[Input, ...]) -> Rows:
    """Execute an expression over data/ and encode what the model needs.

    Raises:
        InputError: if a column that the model reads is not in the table.
    """
    lacking = [item.name for item in inputs if item.name not in table.columns]
    if lacking:
        raise InputError(f"the table lacks {', '.join(lacking)}", "Add the column, or change features in params.yaml.")
    arrow = table.mutate(__label=label(table, params)).to_pyarrow()
    return Rows(arrow.drop(["__label"]), params, inputs, column(arrow, "__label"))


def stream(table: ir.Table, rows: int) -> Iterator[Any]:
    """Arrow record batches of an expression, about `rows` each."""
    yield from table.to_pyarrow_batches(chunk_size=rows)
