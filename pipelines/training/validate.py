"""Stage `validate`: write all data errors to reports/validation.json; any of them stops the pipeline.

One aggregate counts all of them, and examples are read only for those found.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from pipelines.cli.errors import Refused
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_json
from pipelines.config.features import FeatureParams
from pipelines.config.paths import VALIDATION
from pipelines.config.read import read_sections
from pipelines.config.table_schema import Column
from pipelines.config.validation import Validation
from pipelines.tables.bin_scores import bin_scores
from pipelines.tables.cast import MISSING_WORDS, has_type
from pipelines.tables.data import connect, read_rows, target_value

EXAMPLES = 5
MASK = "•••"


class ValidateParams(FeatureParams):
    """The sections of params.yaml that the stage reads; dvc.yaml names the same."""

    validation: Validation


@dataclass(frozen=True)
class DataError:
    """One kind of data error in one column: how many rows, and up to five of them with sensitive values masked."""

    column: str
    kind: str
    why: str
    rows: int | None = None
    examples: tuple[dict[str, Any], ...] = field(default=())


@dataclass(frozen=True)
class _Check:
    """A condition that rows with a data error meet; `says` completes the sentence "7 rows ..."."""

    column: str
    kind: str
    condition: ir.BooleanValue
    says: str


def find_data_errors(
    table: ir.Table, params: ValidateParams, rows: int, now: datetime | None = None
) -> list[DataError]:
    """Return all data errors of a table; empty if a model may be trained on it.

    Args:
        now: event times after this moment are errors; by default the current time.
    """
    errors = _find_errors(table, params, rows, now)
    # The stage `prepare` makes no column of rows that have an error themselves.
    missing = set(params.table.prepared) - set(table.columns)
    return [error for error in errors if error.column not in missing] or errors


def _find_errors(table: ir.Table, params: ValidateParams, rows: int, now: datetime | None) -> list[DataError]:
    errors = list(_column_errors(table, params))
    if rows < params.validation.min_rows:
        why = f"{rows:,} rows; validation.min_rows is {params.validation.min_rows:,}"
        errors.append(DataError("(table)", "rows", why, rows))
    if rows == 0:
        return errors
    invalid = {error.column for error in errors}
    valid = {name: column for name, column in params.table.columns.items() if name not in invalid}
    checks = [check for name, column in valid.items() for check in _row_checks(table, name, column)]
    checks += _future_checks(table, params, valid, now or datetime.now(UTC))
    aggregates: dict[str, Any] = {
        f"check:{i}": check.condition.fill_null(False).sum() for i, check in enumerate(checks)
    }
    for name, column in valid.items():
        aggregates |= _column_counts(table, name, column, params)
    counted = table.aggregate(**aggregates).to_pyarrow().to_pylist()[0] if aggregates else {}
    for i, check in enumerate(checks):
        if count := int(counted[f"check:{i}"] or 0):
            examples = _examples(table, params, check)
            errors.append(DataError(check.column, check.kind, f"{count:,} rows {check.says}", count, examples))
    errors += _count_errors(valid, params, rows, counted)
    if params.table.target in valid:
        errors += _class_errors(table, params)
    if not any(error.column == params.table.target for error in errors):
        errors += _leak_errors(table, params, invalid | {error.column for error in errors if error.rows is None})
    return errors


def _column_errors(table: ir.Table, params: ValidateParams) -> Iterator[DataError]:
    """Yield columns that are missing, unknown, or of another type."""
    types = table.schema()
    for name, column in params.table.columns.items():
        if name not in types:
            near = sorted(set(types) - set(params.table.columns))
            hint = f"; the table has {', '.join(near)}, which the schema does not have" if near else ""
            yield DataError(name, "column missing", f"column {name} is missing{hint}")
        elif not has_type(types[name], column.type):
            yield _type_error(table, params, name, column)
    for name in types:
        if name not in params.table.columns:
            yield DataError(name, "column unknown", f"column {name} is not in schema.columns")


def _type_error(table: ir.Table, params: ValidateParams, name: str, column: Column) -> DataError:
    """Return the error of a column of another type; of texts, with the rows that kept them from being converted."""
    kind = table[name].type()
    casts = {"number": "float64", "integer": "float64", "timestamp": "timestamp", "boolean": "boolean"}
    if kind.is_string() and column.type in casts:
        text = table[name].strip()
        value = text.try_cast(casts[column.type])
        unreadable = value.isnull()
        if column.type == "integer":
            unreadable |= value != value.floor()
        check = _Check(name, "type", text.notnull() & ~text.isin(MISSING_WORDS) & unreadable, "")
        if count := int(table.filter(check.condition).count().execute()):
            examples = _examples(table, params, check)
            where = "".join(f" in {key} {value}" for key, value in examples[0].items() if key != name)
            shown = str(examples[0][name])
            hint = "" if shown == MASK else f"; {_setting(name, column, shown)}"
            why = f"{count:,} rows hold texts that are no {column.type}, such as {shown!r}{where}{hint}"
            return DataError(name, "type", why, count, examples)
    return DataError(name, "type", f"is {kind}; schema.columns expects {column.type}")


def _setting(name: str, column: Column, text: str) -> str:
    """Return the setting that may read a text."""
    if column.type == "timestamp":
        return f'ingest.dates: {{{name}: "%d.%m.%Y"}} reads times as 31.12.2025'
    if re.fullmatch(r"[-+]?[\d.]*,\d+", text):
        return 'ingest.decimal: "," reads decimal commas'
    return f"ingest.missing: [{json.dumps(text, ensure_ascii=False)}] reads it as a missing value"


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
    table: ir.Table, params: ValidateParams, valid: dict[str, Column], now: datetime
) -> Iterator[_Check]:
    moment = ibis.timestamp(now.astimezone(UTC).replace(tzinfo=None).isoformat())
    event, label_time = params.table.event_time, params.table.label_time
    if event in valid:
        yield _Check(str(event), "future", table[event] > moment, "lie in the future")
    if label_time in valid and event in valid:
        yield _Check(str(label_time), "future", table[label_time] < table[event], f"were labelled before their {event}")


def _column_counts(table: ir.Table, name: str, column: Column, params: ValidateParams) -> dict[str, ir.Scalar]:
    value = table[name]
    counts: dict[str, ir.Scalar] = {f"present:{name}": value.count()}
    if name == params.table.key:
        counts["distinct"] = value.nunique()
    if column.type in ("category", "boolean") and name != params.table.target:
        values = column.allowed or (("true", "false") if column.type == "boolean" else ())
        text = value.cast("string")
        counts |= {f"value:{name}:{category}": (text == category).sum() for category in values}
        if not values:
            counts[f"distinct:{name}"] = value.nunique()
    if name == params.table.target:
        known = value.notnull()
        if params.task == "classification":
            counts["positives"] = (known & (target_value(table, params) == 1)).sum()
        else:
            counts["spread"] = target_value(table, params).var(how="pop")
    return counts


def _count_errors(
    valid: dict[str, Column], params: ValidateParams, rows: int, counted: dict[str, Any]
) -> Iterator[DataError]:
    """Yield what the counts show: duplicates, too much missing, empty or collapsed categories, lost classes."""
    limits = params.validation
    for name, column in valid.items():
        present = int(counted[f"present:{name}"] or 0)
        missing = 1 - present / rows
        inherent = name in (params.table.target, params.table.label_time)
        if column.nullable and not inherent and missing > limits.max_missing:
            why = f"{missing:.1%} of the rows have no value; validation.max_missing is {limits.max_missing:.1%}"
            yield DataError(name, "too much missing", why, rows - present)
        if name == params.table.key and present > int(counted["distinct"]):
            repeated = present - int(counted["distinct"])
            yield DataError(name, "duplicate", f"{repeated:,} rows repeat a key", repeated)
        if name == params.table.target:
            yield from _target_errors(name, params, present, counted)
        elif column.type in ("category", "boolean") and present:
            yield from _category_errors(name, column, params, present, counted)


def _target_errors(name: str, params: ValidateParams, present: int, counted: dict[str, Any]) -> Iterator[DataError]:
    if not present:
        yield DataError(name, "class missing", "no row has a label")
    elif params.task == "classification":
        positives = int(counted["positives"] or 0)
        if positives in (0, present):
            which = "positive" if not positives else "negative"
            yield DataError(name, "class missing", f"no labelled row is of the {which} class")
    elif not counted["spread"]:
        yield DataError(name, "class missing", "all labelled rows have the same value")


def _class_errors(table: ir.Table, params: ValidateParams) -> Iterator[DataError]:
    """Yield classes besides the positive and one negative, unless `negative: rest` makes one class of them."""
    name = params.table.target
    if params.task == "regression" or params.table.negative == "rest":
        return
    label = table[name].cast("string").name("label")
    classes = table.filter(label.notnull()).group_by(label).agg(rows=lambda t: t.count())
    top = classes.order_by(ibis.desc("rows"), "label").limit(EXAMPLES + 1).to_pyarrow().to_pylist()
    if len(top) > 2:
        hidden = name in params.table.sensitive
        shown = ", ".join(MASK if hidden else f"{each['label']} ({each['rows']:,} rows)" for each in top[:EXAMPLES])
        more = " and more" if len(top) > EXAMPLES else ""
        why = (
            f"has more than two classes: {shown}{more}; a model separates two. "
            f"schema.negative: rest makes one class of all but {params.table.positive}"
        )
        yield DataError(name, "classes", why)


def _category_errors(
    name: str, column: Column, params: ValidateParams, present: int, counted: dict[str, Any]
) -> Iterator[DataError]:
    values = {k.split(":", 2)[2]: int(v or 0) for k, v in counted.items() if k.startswith(f"value:{name}:")}
    if not values:
        if int(counted.get(f"distinct:{name}", 2)) < 2:
            yield DataError(name, "collapsed", "all rows hold the same value")
        return
    if column.allowed is not None and (empty := [category for category, count in values.items() if not count]):
        yield DataError(name, "empty category", f"no row holds {', '.join(empty)}")
    top, most = max(values.items(), key=lambda item: item[1])
    if most > params.validation.max_share * present:
        limit = params.validation.max_share
        why = f"{most / present:.2%} of the rows hold {top}; validation.max_share is {limit:.2%}"
        yield DataError(name, "collapsed", why)


def _leak_errors(table: ir.Table, params: ValidateParams, invalid: set[str]) -> Iterator[DataError]:
    limit = params.validation.leak_score
    for name, score in bin_scores(table, params, invalid).items():
        if score >= limit:
            measure = "an AUC" if params.task == "classification" else "an R2"
            why = f"{name} alone predicts the target with {measure} of {score:.3f}; validation.leak_score is {limit:g}"
            yield DataError(name, "leak", why)


def _examples(table: ir.Table, params: ValidateParams, check: _Check) -> tuple[dict[str, Any], ...]:
    """Return key and value of up to five rows that meet the condition, smallest keys first, sensitive values masked."""
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


def main() -> None:
    """Validate data/ against params.yaml.

    Raises:
        Refused: if there is a data error; the report is written before.
    """
    params = read_sections(ValidateParams)
    table = read_rows(connect())
    rows = int(table.count().execute())
    errors = find_data_errors(table, params, rows)
    document = {"rows": rows, "passed": not errors, "errors": [asdict(error) for error in errors]}
    write_json(VALIDATION, document)
    if errors:
        lines = "\n".join(f"  {error.column}: {error.why}" for error in errors)
        raise Refused(
            f"data/ has {len(errors)} data error(s) in {rows:,} rows:\n{lines}",
            "Fix the data, or the schema in params.yaml.",
        )
    print(f"{rows:,} rows without a data error")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
