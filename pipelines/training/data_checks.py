"""Faults of a table against the schema. One aggregate counts them all; examples are looked up only for those found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from pipelines.config.features import FeatureParams
from pipelines.config.table_schema import Column
from pipelines.config.validation import Validation
from pipelines.tables.data import target_value
from pipelines.training.leakage import leak_scores

EXAMPLES = 5
MASK = "•••"


class ValidateParams(FeatureParams):
    """The sections of params.yaml that the stage reads; dvc.yaml names the same."""

    validation: Validation


@dataclass(frozen=True)
class Fault:
    """One kind of fault in one column: how many rows, and up to five of them with sensitive values masked."""

    column: str
    kind: str
    why: str
    rows: int | None = None
    examples: tuple[dict[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The fault as validation.json holds it."""
        return {
            "column": self.column,
            "kind": self.kind,
            "why": self.why,
            "rows": self.rows,
            "examples": list(self.examples),
        }


@dataclass(frozen=True)
class _Check:
    """A condition that faulty rows meet, and how to say it."""

    column: str
    kind: str
    condition: ir.BooleanValue
    says: str


def find_faults(table: ir.Table, params: ValidateParams, rows: int, now: datetime | None = None) -> list[Fault]:
    """All faults of a table; empty if it may be trained on.

    Args:
        now: rows after this moment are from the future; by default the clock.
    """
    faults = list(_of_columns(table, params))
    if rows < params.validation.min_rows:
        why = f"{rows:,} rows; validation.min_rows asks for {params.validation.min_rows:,}"
        faults.append(Fault("(table)", "rows", why, rows))
    if rows == 0:
        return faults
    broken = {fault.column for fault in faults}
    sound = {name: column for name, column in params.table.columns.items() if name not in broken}
    checks = [check for name, column in sound.items() for check in _row_checks(table, name, column)]
    checks += _future_checks(table, params, sound, now or datetime.now(UTC))
    aggregates: dict[str, Any] = {
        f"check:{i}": check.condition.fill_null(False).sum() for i, check in enumerate(checks)
    }
    for name, column in sound.items():
        aggregates |= _column_counts(table, name, column, params)
    counted = table.aggregate(**aggregates).to_pyarrow().to_pylist()[0] if aggregates else {}
    for i, check in enumerate(checks):
        if found := int(counted[f"check:{i}"] or 0):
            examples = _examples(table, params, check)
            faults.append(Fault(check.column, check.kind, f"{found:,} rows {check.says}", found, examples))
    faults += _from_counts(sound, params, rows, counted)
    if not any(fault.column == params.table.target for fault in faults):
        faults += _leaks(table, params, {fault.column for fault in faults if fault.rows is None})
    return faults


def _of_columns(table: ir.Table, params: ValidateParams) -> Iterator[Fault]:
    """Columns that are missing, unknown, or of another type."""
    have = table.schema()
    for name, column in params.table.columns.items():
        if name not in have:
            near = sorted(set(have) - set(params.table.columns))
            hint = f"; the table has {', '.join(near)}, which the schema does not know" if near else ""
            yield Fault(name, "column missing", f"column {name} is missing{hint}")
        elif not _of_type(have[name], column):
            yield Fault(name, "type", f"is {have[name]}, and the schema says {column.type}")
    for name in have:
        if name not in params.table.columns:
            yield Fault(name, "column unknown", f"column {name} is not in schema.columns")


def _of_type(found: dt.DataType, column: Column) -> bool:
    fits = {
        "number": found.is_numeric(),
        "integer": found.is_integer(),
        "category": found.is_string(),
        "identifier": found.is_string() or found.is_integer(),
        "timestamp": found.is_timestamp(),
        "boolean": found.is_boolean(),
    }
    return bool(fits[column.type])


def _row_checks(table: ir.Table, name: str, column: Column) -> Iterator[_Check]:
    value = table[name]
    if not column.nullable:
        yield _Check(name, "missing", value.isnull(), "have no value, and the column is not nullable")
    if column.type == "number" and value.type().is_floating():
        yield _Check(name, "not finite", value.isnan() | value.isinf(), "are not a finite number (missing is null)")
    if column.min is not None:
        yield _Check(name, "range", value < column.min, f"are below the minimum of {column.min:g}")
    if column.max is not None:
        yield _Check(name, "range", value > column.max, f"are above the maximum of {column.max:g}")
    if column.allowed is not None:
        yield _Check(name, "value", value.notnull() & ~value.isin(column.allowed), "hold a value that is not allowed")
    elif column.type == "category":
        yield _Check(name, "value", value == "", "hold an empty text (missing is null)")


def _future_checks(
    table: ir.Table, params: ValidateParams, sound: dict[str, Column], now: datetime
) -> Iterator[_Check]:
    moment = ibis.timestamp(now.astimezone(UTC).replace(tzinfo=None).isoformat())
    event, labelled = params.table.event_time, params.table.label_time
    if event in sound:
        yield _Check(str(event), "future", table[event] > moment, "lie in the future")
    if labelled in sound and event in sound:
        yield _Check(str(labelled), "future", table[labelled] < table[event], f"were labelled before their {event}")


def _column_counts(table: ir.Table, name: str, column: Column, params: ValidateParams) -> dict[str, ir.Scalar]:
    value = table[name]
    counts: dict[str, ir.Scalar] = {f"present:{name}": value.count()}
    if name == params.table.key:
        counts["distinct"] = value.nunique()
    if column.type in ("category", "boolean") and name != params.table.target:
        words = column.allowed or (("true", "false") if column.type == "boolean" else ())
        text = value.cast("string")
        counts |= {f"value:{name}:{word}": (text == word).sum() for word in words}
        if not words:
            counts[f"distinct:{name}"] = value.nunique()
    if name == params.table.target:
        known = value.notnull()
        if params.task == "classification":
            counts["positives"] = (known & (target_value(table, params) == 1)).sum()
        else:
            counts["spread"] = target_value(table, params).var(how="pop")
    return counts


def _from_counts(
    sound: dict[str, Column], params: ValidateParams, rows: int, counted: dict[str, Any]
) -> Iterator[Fault]:
    """What a count of one column says: duplicates, too much missing, empty or collapsed categories, lost classes."""
    limits = params.validation
    for name, column in sound.items():
        present = int(counted[f"present:{name}"] or 0)
        missing = 1 - present / rows
        inherent = name in (params.table.target, params.table.label_time)
        if column.nullable and not inherent and missing > limits.max_missing:
            why = f"{missing:.1%} of the rows have no value; validation.max_missing is {limits.max_missing:.1%}"
            yield Fault(name, "too much missing", why, rows - present)
        if name == params.table.key and present > int(counted["distinct"]):
            again = present - int(counted["distinct"])
            yield Fault(name, "duplicate", f"{again:,} rows repeat a key", again)
        if name == params.table.target:
            yield from _of_target(name, params, present, counted)
        elif column.type in ("category", "boolean") and present:
            yield from _of_category(name, column, params, present, counted)


def _of_target(name: str, params: ValidateParams, present: int, counted: dict[str, Any]) -> Iterator[Fault]:
    if not present:
        yield Fault(name, "class missing", "no row has a label")
    elif params.task == "classification":
        positives = int(counted["positives"] or 0)
        if positives in (0, present):
            which = "positive" if not positives else "negative"
            yield Fault(name, "class missing", f"no labelled row is of the {which} class")
    elif not counted["spread"]:
        yield Fault(name, "class missing", "all labelled rows have the same value")


def _of_category(
    name: str, column: Column, params: ValidateParams, present: int, counted: dict[str, Any]
) -> Iterator[Fault]:
    values = {k.split(":", 2)[2]: int(v or 0) for k, v in counted.items() if k.startswith(f"value:{name}:")}
    if not values:
        if int(counted.get(f"distinct:{name}", 2)) < 2:
            yield Fault(name, "collapsed", "all rows hold the same value")
        return
    if column.allowed is not None and (empty := [word for word, count in values.items() if not count]):
        yield Fault(name, "empty category", f"no row holds {', '.join(empty)}")
    top, most = max(values.items(), key=lambda item: item[1])
    if most > params.validation.max_share * present:
        limit = params.validation.max_share
        why = f"{most / present:.2%} of the rows hold {top}; validation.max_share is {limit:.2%}"
        yield Fault(name, "collapsed", why)


def _leaks(table: ir.Table, params: ValidateParams, broken: set[str]) -> Iterator[Fault]:
    limit = params.validation.leak_score
    for name, score in leak_scores(table, params, broken).items():
        if score >= limit:
            what = (
                "ranks the target with an AUC of"
                if params.task == "classification"
                else "explains the target with an R2 of"
            )
            yield Fault(name, "leak", f"{name} alone {what} {score:.3f} (limit {limit:g}): it nearly is the target")


def _examples(table: ir.Table, params: ValidateParams, check: _Check) -> tuple[dict[str, Any], ...]:
    """Key and value of up to five faulty rows, the smallest keys first, sensitive ones masked."""
    key = params.table.key if params.table.key in table.columns else check.column
    columns = list(dict.fromkeys([key, check.column]))
    rows = table.filter(check.condition.fill_null(False)).select(*columns).order_by(key).limit(EXAMPLES)
    sensitive = params.table.sensitive
    return tuple(
        {name: MASK if name in sensitive and value is not None else _plain(value) for name, value in row.items()}
        for row in rows.to_pyarrow().to_pylist()
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
