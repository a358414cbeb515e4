"""The labels of predictions: read where `monitor.labels` says, and joined with the rows of a window."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError
from pipelines.config.monitor import Labels
from pipelines.config.table_schema import ColumnType
from pipelines.model.signature import Signature
from pipelines.predictions.log_schema import log_columns
from pipelines.predictions.window import REQUEST_ID, TIME, instant
from pipelines.tables.cast import ARROW, cast_lossless
from pipelines.tables.locations import Location
from pipelines.tables.reader import find_files, read_batches

SETTING = "monitor.labels"
TARGET = "__target"
OTHER_CLASSES = "other"  # the name of the negative class if it is several (pipelines/training/export.py)
KNOWN, _ORDER, _LABEL = "__known", "__order", "__label"
_TYPES = ARROW | {"integer": pa.float64(), "timestamp": pa.timestamp("us")}  # those of a window
_TRUE, _FALSE = {"1", "true"}, {"0", "false"}


@dataclass(frozen=True)
class LabelTable:
    """The labels as a table.

    Attributes:
        table: the keys by their column in a window, the target (0, 1 or a number), and the time when it became known.
        keys: the columns of a window that find the row of a label.
    """

    table: ir.Table
    keys: tuple[str, ...]

    def as_of(self, moment: datetime) -> ir.Table:
        """Return the newest label of each key that was known before a moment."""
        known = self.table.filter(self.table[KNOWN].isnull() | (self.table[KNOWN] < instant(moment)))
        by_key = ibis.window(
            group_by=[known[key] for key in self.keys],
            order_by=[known[KNOWN].desc(nulls_first=False), known[TARGET].desc()],
        )
        newest = known.mutate(**{_ORDER: ibis.row_number().over(by_key)})
        return newest.filter(newest[_ORDER] == 0).select(*self.keys, TARGET, KNOWN)

    def join(self, rows: ir.Table, moment: datetime) -> ir.Table:
        """Return the rows that had a label at a moment, with TARGET and KNOWN; of rows with equal keys the first."""
        order = [rows[TIME], rows[REQUEST_ID]]
        by_key = ibis.window(group_by=[rows[key] for key in self.keys], order_by=order)
        first = rows.mutate(**{_ORDER: ibis.row_number().over(by_key)})
        first = first.filter(first[_ORDER] == 0).drop(_ORDER)
        return first.inner_join(self.as_of(moment), list(self.keys))

    def corrected(self, start: datetime, end: datetime) -> ir.Table:
        """Return the keys whose label is another one at the end than at the start."""
        before, after = self.as_of(start), self.as_of(end).rename(__after=TARGET)
        both = before.inner_join(after, list(self.keys))
        return both.filter(both[TARGET] != both["__after"]).select(*self.keys)


def label_keys(settings: Labels, signature: Signature) -> dict[str, tuple[str, ColumnType]]:
    """Return column of the labels -> column of a window, and its type.

    Raises:
        InputError: if the log has no such column, or holds only its hashes.
    """
    inputs = {item.name: item for item in signature.inputs}
    fields = {column: inputs[name] for name, column in log_columns(signature).items()}
    keys: dict[str, tuple[str, ColumnType]] = {column: (item.name, item.type) for column, item in fields.items()}
    keys |= {"request_id": (REQUEST_ID, "identifier"), "time": (TIME, "timestamp")}
    for name in settings.by:
        if name not in keys:
            raise InputError(
                f"{SETTING}.by: the prediction log has no column {name}",
                f"Name request_id, time or inputs of the model: {', '.join(fields)}.",
            )
        if name in fields and fields[name].sensitive:
            raise InputError(
                f"{SETTING}.by: {name} is sensitive, and the prediction log holds only its hashes",
                "Join by request_id, or by columns that are not sensitive.",
            )
    return {name: keys[name] for name in settings.by}


@contextmanager
def open_labels(connection: ibis.BaseBackend, settings: Labels, signature: Signature) -> Iterator[LabelTable]:
    """Read all labels; the table exists for the block.

    Raises:
        InputError: if there is no file, or one cannot be read, lacks a column, or holds no class of the model.
        Unreachable: if the store does not respond.
    """
    keys = label_keys(settings, signature)
    is_class = signature.task == "classification"
    columns: dict[str, tuple[str | None, ColumnType]] = {column: (name, kind) for name, (column, kind) in keys.items()}
    columns[_LABEL] = (settings.label, "identifier" if is_class else "number")
    columns[KNOWN] = (settings.known_at, "timestamp")
    schema = pa.schema([(column, _TYPES[kind]) for column, (_, kind) in columns.items()])
    with tempfile.TemporaryDirectory(prefix="labels-") as folder:
        copy = Path(folder, "labels.parquet")
        with pq.ParquetWriter(copy, schema) as writer:
            for file in find_files(settings.path, f"{SETTING}.path"):
                for batch in read_batches(file):
                    writer.write_table(_typed(pa.Table.from_batches([batch]), file, columns))
        labels = connection.read_parquet(copy)
        values = _classes(labels[_LABEL], signature) if is_class else labels[_LABEL].cast("float64")
        labels = labels.mutate(**{TARGET: values}).drop(_LABEL)
        usable = labels.filter(labels[TARGET].notnull() & ~labels[TARGET].isnan() & ~labels[TARGET].isinf())
        if pq.read_metadata(copy).num_rows and not usable.count().execute():
            raise InputError(
                f"{SETTING}: {settings.label} holds no label of the model in any row",
                f"Name the column of the label; its classes are {', '.join(signature.classes)}."
                if is_class
                else "Name the column of the label; it must hold numbers.",
            )
        yield LabelTable(usable, tuple(window for window, _ in keys.values()))


def _typed(part: pa.Table, file: Location, columns: Mapping[str, tuple[str | None, ColumnType]]) -> pa.Table:
    """Return the columns of a part of a file by their new names, in the types of a window."""
    if missing := [name for name, _ in columns.values() if name and name not in part.column_names]:
        raise InputError(
            f"{file.name} has no column {', '.join(missing)}", f"Correct {SETTING} in params.yaml, or the file."
        )
    arrays = {}
    for column, (name, kind) in columns.items():
        values = _cast(part[name], kind) if name else pa.nulls(len(part))
        if values is None:
            raise InputError(
                f"{file.name}: {name} cannot be read as {kind}", f"Correct the column, or {SETTING} in params.yaml."
            )
        arrays[column] = values.cast(_TYPES[kind])
    return pa.table(arrays)


def _cast(column: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray | None:
    """Return a column in a type of the schema, None if it cannot be cast; as text, whole floats lose their point."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    if kind not in ("category", "identifier"):
        return cast_lossless(column, kind)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        with suppress(pa.ArrowInvalid):  # they are no whole numbers
            column = column.cast(pa.int64())
    with suppress(pa.ArrowNotImplementedError):
        return column.cast(pa.string())
    return None


def _classes(label: ir.StringColumn, signature: Signature) -> ir.Value:
    """Return 1 for the positive class, 0 for the other, and null for a text that is no class of the model."""
    negative, positive = signature.classes
    texts = label.lower()
    rest = ibis.literal(0.0) if negative == OTHER_CLASSES else ibis.literal(None, "float64")
    return ibis.cases(
        (label.isnull(), ibis.literal(None, "float64")),
        (texts.isin(_names(positive)), ibis.literal(1.0)),
        (texts.isin(_names(negative)), ibis.literal(0.0)),
        else_=rest,
    )


def _names(name: str) -> list[str]:
    """Return the texts that mean a class: a flag is stored as 1 or as true."""
    lower = name.lower()
    return sorted(next((flags for flags in (_TRUE, _FALSE) if lower in flags), {lower}))
