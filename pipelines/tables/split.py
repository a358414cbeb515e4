"""The split of a table into training, validation and test rows, as models/split.json records it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from pipelines.cli.errors import InputError
from pipelines.config.paths import SPLIT
from pipelines.config.split import SplitByHash, SplitByTime, SplitParams
from pipelines.config.table_schema import TableParams

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = ("train", "validation", "test")


def split_boundaries(table: ir.Table, params: SplitParams) -> dict[str, Any]:
    """Return what defines the split: the moments between the sides, or a salt and shares.

    Split by time, the newest matured rows are the test side, and the rows before them the validation side.
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


def is_on_side(table: ir.Table, split: dict[str, Any], side: Side) -> ir.BooleanValue:
    """Return whether a row is on a side of the split, whether or not its label is known."""
    if split["by"] == "hash":
        bucket = _bucket(table, split["column"], split["salt"])
        test_end, validation_end = _hex(split["test"]), _hex(split["test"] + split["validation"])
        conditions = {
            "test": bucket < test_end,
            "validation": (bucket >= test_end) & (bucket < validation_end),
            "train": bucket >= validation_end,
        }
    else:
        when = table[split["column"]]
        matured, test, validation = (_instant(split[name]) for name in ("matured", "test_from", "validation_from"))
        conditions = {
            "test": (when >= test) & (when <= matured),
            "validation": (when >= validation) & (when < test),
            "train": when < validation,
        }
    return conditions[side]


def rows_on_side(table: ir.Table, params: TableParams, split: dict[str, Any], side: Side) -> ir.Table:
    """Return the rows of a side with a known label, in order of event time, then key."""
    rows = table.filter(table[params.table.target].notnull() & is_on_side(table, split, side))
    order = [column for column in (params.table.event_time, params.table.key) if column]
    return rows.order_by(order)


def is_unseen(
    table: ir.Table, trained_until: str | None, model_split: dict[str, Any] | None, event_time: str | None
) -> ir.BooleanValue:
    """Return whether a row is new to a model with this `trained_until` or `split` in its signature.

    Validation rows are not new, since the threshold was chosen on them.
    """
    if model_split is not None:
        return is_on_side(table, model_split, "test")
    if trained_until is None or event_time is None:
        return ibis.literal(True)
    return table[event_time] >= _instant(trained_until)


def load_split(path: Path = SPLIT) -> dict[str, Any]:
    """Return the content of models/split.json."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Reproduce the pipeline: `make review`.") from error


def _bucket(table: ir.Table, column: str, salt: str) -> ir.StringValue:
    """Return eight uniformly distributed hexadecimal digits, whose order as text is their order as numbers."""
    text = ibis.literal(f"{salt}:") + table[column].cast("string")
    digest: ir.StringValue = text.hexdigest("sha256").substr(0, 8)
    return digest


def _hex(share: float) -> str:
    return f"{min(int(share * 2**32), 2**32 - 1):08x}"


def _instant(text: str) -> ir.TimestampScalar:
    # Without a zone: the files hold UTC, and the engine would convert a time with a zone.
    literal: ir.TimestampScalar = ibis.timestamp(datetime.fromisoformat(text).replace(tzinfo=None).isoformat())
    return literal
