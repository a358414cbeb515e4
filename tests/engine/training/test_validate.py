"""Every data error of a table is found, counted and shown with at most five masked examples, all in one report."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from pipelines.config.read import read_sections, read_yaml, validate
from pipelines.training.validate import MASK, DataError, ValidateParams, find_data_errors
from tests.engine.fixtures_dvc import prepared_table
from tests.engine.fixtures_repo import PARAMS

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def clean() -> pa.Table:
    return prepared_table(6_000)


def data_errors(table: pa.Table, now: datetime = NOW) -> list[DataError]:
    return find_data_errors(ibis.memtable(table), read_sections(ValidateParams, PARAMS), len(table), now)


def replace(table: pa.Table, name: str, values: Any, kind: pa.DataType | None = None) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind or table[name].type))


def some(table: pa.Table, name: str, value: Any, rows: int = 7) -> pa.Table:
    return replace(table, name, [value] * rows + table[name].to_pylist()[rows:])


def texts(table: pa.Table, name: str, first: list[str]) -> pa.Table:
    """The table with a column of texts, as it remains where a text cannot be converted."""
    rest = table[name].cast(pa.string()).to_pylist()[len(first) :]
    return replace(table, name, [*first, *rest], pa.string())


@pytest.mark.parametrize(
    ("name", "text", "setting"),
    [
        ("amount", "12,5", "ingest.decimal"),
        ("amount", "12 kg", 'ingest.missing: ["12 kg"]'),
        ("paid_at", "31.12.2025", "ingest.dates: {paid_at:"),
    ],
)
def test_a_text_that_cannot_be_converted_is_named_with_its_row_and_the_setting_that_reads_it(
    clean: pa.Table, name: str, text: str, setting: str
) -> None:
    (error,) = data_errors(texts(clean, name, [text, text]))
    assert error.why.startswith("2 rows") and repr(text) in error.why and setting in error.why
    assert f"in payment_id {clean['payment_id'][0]}" in error.why


def test_clean_rows_have_no_data_error(clean: pa.Table) -> None:
    assert data_errors(clean) == []


CASES: list[tuple[str, str, Callable[[pa.Table], pa.Table], int | None]] = [
    ("amount", "range", lambda t: some(t, "amount", 60_000.0), 7),
    ("amount", "missing", lambda t: some(t, "amount", None), 7),
    ("amount", "not finite", lambda t: some(t, "amount", float("nan")), 7),
    ("channel", "value", lambda t: some(t, "channel", "carrier pigeon"), 7),
    ("payment_id", "duplicate", lambda t: some(t, "payment_id", "p00000100"), 7),
    ("paid_at", "future", lambda t: some(t, "paid_at", datetime(2031, 1, 1)), 7),
    ("labelled_at", "future", lambda t: some(t, "labelled_at", datetime(2020, 1, 1)), 7),
    ("amount", "type", lambda t: replace(t, "amount", t["amount"].cast(pa.string()).to_pylist(), pa.string()), None),
    ("amount", "type", lambda t: texts(t, "amount", ["12,5", "NA", " 7 "]), 1),
    ("payments_1h", "type", lambda t: texts(t, "payments_1h", ["2.5", "x", "3.0"]), 2),
    ("paid_at", "type", lambda t: texts(t, "paid_at", ["31.12.2025", "2025-12-31"]), 1),
    ("channel", "column missing", lambda t: t.drop(["channel"]), None),
    ("surprise", "column unknown", lambda t: t.append_column("surprise", pa.array([1] * len(t))), None),
    ("usual_amount", "too much missing", lambda t: some(t, "usual_amount", None, 3_000), None),
    ("channel", "collapsed", lambda t: replace(t, "channel", ["chip"] * len(t)), None),
    ("channel", "empty category", lambda t: t.filter(pc.not_equal(t["channel"], "stripe")), None),
    ("is_fraud", "class missing", lambda t: replace(t, "is_fraud", [0] * len(t)), None),
    (
        "usual_amount",
        "leak",
        lambda t: replace(t, "usual_amount", [float(v or 0) + 1 for v in t["is_fraud"].to_pylist()]),
        None,
    ),
]


@pytest.mark.parametrize(("column", "kind", "change", "rows"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_a_data_error_is_named_by_column_and_kind_and_counted(
    clean: pa.Table, column: str, kind: str, change: Callable[[pa.Table], pa.Table], rows: int | None
) -> None:
    errors = {(error.column, error.kind): error for error in data_errors(change(clean))}
    assert (column, kind) in errors
    error = errors[column, kind]
    if rows is not None:
        assert error.rows in (rows, rows - 1)  # of equal keys one is the first
        assert len(error.examples) <= 5


def with_classes(table: pa.Table, **schema: Any) -> list[DataError]:
    """The data errors of rows whose first seven are of a third class, which the type and the range allow."""
    document = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    document["schema"]["columns"]["is_fraud"]["max"] = 2
    document["schema"] |= schema
    text = yaml.safe_dump({key: document[key] for key in ("task", "schema", "features", "validation")})
    params = validate(ValidateParams, read_yaml(text, "params.yaml"), "params.yaml")
    return find_data_errors(ibis.memtable(some(table, "is_fraud", 2)), params, len(table), NOW)


def test_three_classes_are_refused_by_name_unless_the_schema_says_that_the_rest_is_negative(clean: pa.Table) -> None:
    (error,) = with_classes(clean)
    assert (error.column, error.kind) == ("is_fraud", "classes")
    assert "2 (7 rows)" in error.why and "negative: rest" in error.why
    assert with_classes(clean, negative="rest") == []


def test_classes_of_a_sensitive_target_are_not_named(clean: pa.Table) -> None:
    columns = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["schema"]["columns"]
    columns["is_fraud"] |= {"max": 2, "sensitive": True}
    (error,) = with_classes(clean, columns=columns)
    assert MASK in error.why and "7 rows" not in error.why


def test_all_data_errors_come_in_one_report(clean: pa.Table) -> None:
    invalid = some(some(some(clean, "amount", -1.0), "channel", "x"), "payments_1h", -5)
    assert {(error.column, error.kind) for error in data_errors(invalid)} == {
        ("amount", "range"),
        ("channel", "value"),
        ("payments_1h", "range"),
    }


def test_examples_are_the_smallest_keys_and_sensitive_values_are_masked(clean: pa.Table) -> None:
    (error,) = data_errors(some(clean, "age_group", "secret"))
    assert len(error.examples) == 5
    assert {example["age_group"] for example in error.examples} == {MASK}
    assert "secret" not in str(error)
    names = [example["payment_id"] for example in error.examples]
    assert names == sorted(names)


def test_too_few_rows_are_an_error(clean: pa.Table) -> None:
    assert any(error.kind == "rows" for error in data_errors(clean.slice(0, 20)))
    assert [error.kind for error in data_errors(clean.slice(0, 0))] == ["rows"]


def test_a_useful_input_is_not_a_leak(clean: pa.Table) -> None:
    fraud = np.array([v or 0 for v in clean["is_fraud"].to_pylist()])
    noisy = np.random.default_rng(1).random(len(fraud)) + 0.6 * fraud
    assert data_errors(replace(clean, "usual_amount", noisy.round(2))) == []
