"""The type of a column follows from its cells; a cell that does not fit is named, not lost."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.adopt import names
from pipelines.adopt.columns import find_columns, schema_name, typed_table
from pipelines.adopt.first_files import as_yaml, render
from pipelines.adopt.source import read_source
from pipelines.cli.errors import InputError
from tests.engine.adopt.tables import rents, wide, write_csv

MANY = 60


def cells(*values, fill):
    return [*values, *(fill(n) for n in range(MANY - len(values)))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (cells(fill=lambda n: n), "integer"),
        (cells("12.0", fill=lambda n: n), "integer"),
        (cells(" 3", "-4", fill=lambda n: n), "integer"),
        (cells("1e3", ".5", fill=lambda n: n + 0.5), "number"),
        (cells(fill=lambda n: "TRUE" if n % 2 else "false"), "boolean"),
        (cells(fill=lambda n: "Yes" if n % 2 else "No"), "category"),
        (cells(fill=lambda n: f"0{n % 10}"), "category"),
        (cells(fill=lambda n: f"text {n}"), "identifier"),
        (cells(fill=lambda n: f"2025-01-{n % 28 + 1:02d}"), "timestamp"),
        (cells(fill=lambda n: f"2025-01-{n % 28 + 1:02d}T08:00:00Z"), "timestamp"),
        (cells(fill=lambda n: f"12 kg {n % 3}"), "category"),
    ],
)
def test_a_type(found, values, expected):
    assert found({"column": values, "other": [1] * MANY})["column"].type == expected


def test_words_for_missing_values_are_named_for_ingest(found):
    column = found({"a": cells("?", "NA", " ", "-", fill=lambda n: n), "b": [1] * MANY})["a"]
    assert (column.type, column.present) == ("integer", MANY - 4)
    assert set(column.missing) == {"?", "-"}  # ingest knows NA and the blank by itself


def test_cells_that_are_no_numbers_are_listed_with_row_and_count(found):
    column = found({"a": ["12 kg", *range(200), "12 kg"], "b": [1] * 202})["a"]
    assert (column.type, column.missing) == ("integer", ("12 kg",))
    assert "'12 kg' (2 rows, the first is 1)" in column.unsure[0]


def test_a_column_of_many_words_among_numbers_stays_text(found):
    column = found({"a": [f"{n} kg" if n % 3 else n for n in range(90)], "b": [1] * 90})["a"]
    assert column.type == "identifier"


def test_one_word_in_many_cells_of_numbers_is_a_missing_value(found):
    column = found({"a": ["k.A." if n % 10 == 0 else n for n in range(90)], "b": [1] * 90})["a"]
    assert (column.type, column.missing, column.nullable) == ("integer", ("k.A.",), True)
    kept = found({"a": ["90+" if n % 10 == 0 else n for n in range(90)], "b": [1] * 90})["a"]
    assert kept.type == "identifier" and "'90+'" in kept.unsure[0]


@pytest.mark.parametrize("form", ["1.2{n:02d},50", "{n},5 %", "€ {n}", "3 0{n:02d}"])
def test_numbers_with_signs_that_ingest_cannot_read_are_named(found, form):
    column = found({"a": [form.format(n=n) for n in range(90)], "b": [1] * 90})["a"]
    assert "export plain numbers" in column.unsure[0]


def test_numbers_named_like_a_key_are_an_identifier(found):
    columns = found({"order_id": list(range(MANY)), "orders": list(range(MANY))})
    assert columns["order_id"].type == "identifier" and columns["orders"].type == "integer"


@pytest.mark.parametrize("form", ["{n}_000", "{n}e400"])
def test_numbers_that_only_duckdb_could_read_are_texts(found, form):
    column = found({"a": [form.format(n=n + 1) for n in range(90)], "b": [1] * 90})["a"]
    assert column.type == "identifier"


def test_a_word_for_a_missing_value_is_missing_in_all_columns_of_texts(found):
    columns = found({"a": cells("k.A.", fill=lambda n: n), "b": cells("k.A.", fill=lambda n: "xy"[n % 2])})
    assert columns["b"].nullable and set(columns["b"].values) == {"x", "y"}
    assert "'k.A.'" in columns["b"].unsure[0]


def test_times_with_an_offset_are_tried_in_utc(tmp_path):
    path = write_csv(tmp_path / "t.csv", {"at": ["2025-01-01T08:00:00+02:00"] * 60, "b": [1] * 60})
    source = read_source(str(path), None, tmp_path)
    columns, decimal = find_columns(source.connection)
    rows = typed_table(source.connection, columns, decimal, None).at.to_pyarrow()
    assert rows[0].as_py() == datetime(2025, 1, 1, 6) and columns[0].low == "2025-01-01 06:00:00"


def test_a_column_may_be_named_rowid(found):
    columns = found({"rowid": [f"x{n}" for n in range(200)], "a": [*range(199), "12 kg"]})
    assert columns["rowid"].name == "rowid_" and "the first is 200" in columns["a"].unsure[0]


def test_columns_whose_names_differ_in_case_only_are_refused(found):
    with pytest.raises(InputError, match="Price, price"):
        found({"Price": [1, 2], "b": [1, 2], "price": [3, 4]})


def test_a_german_table_is_read(found):
    columns = found(rents(300), separator=";", encoding="cp1252", decimal=",")
    assert columns["Größe (m²)"].type == "number" and columns["Größe (m²)"].high > 100
    assert columns["Eingestellt am"].dates == "%d.%m.%Y"
    assert columns["Baujahr"].missing == ("?",)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (["03/04/2025", "03/31/2025"], "%m/%d/%Y"),
        (["04/03/2025", "31/03/2025"], "%d/%m/%Y"),
        (["3.4.25", "30.4.25"], "%d.%m.%y"),
        (["03-Apr-2025", "14-Dec-2024"], "%d-%b-%Y"),
        (["04/03/2025 1:05 PM", "04/15/2025 11:00 AM"], "%m/%d/%Y %I:%M %p"),
    ],
)
def test_a_format_of_dates_that_reads_every_cell_is_found(found, days, expected):
    assert found({"day": days * 20, "b": [1] * 40})["day"].dates == expected


def test_day_and_month_that_can_be_exchanged_are_asked_about(found):
    column = found({"day": [f"{d:02d}/06/2025" for d in range(1, 13)] * 2, "b": [1] * 24})["day"]
    assert column.dates == "%d/%m/%Y"  # the other reading spans a year
    assert "%m/%d/%Y" in column.unsure[0]


def test_times_in_two_formats_are_named(found):
    column = found({"day": ["2025-01-31", "01.02.2025"] * 20 + ["3.2.2025"], "b": [1] * 41})["day"]
    assert column.type == "category" and "%Y-%m-%d" in column.unsure[0] and "%d.%m.%Y" in column.unsure[0]


def test_no_day_is_made_of_one_that_does_not_exist(found):
    assert found({"day": ["30.02.2025", "01.03.2025"] * 20, "b": [1] * 40})["day"].type == "category"


def test_utf16_and_a_byte_order_mark(found):
    for encoding in ("utf-16", "utf-8-sig"):
        assert set(found({"Größe": list(range(9)), "b": [1] * 9}, encoding=encoding)) == {"Größe", "b"}


def test_a_wide_table(found):
    columns = found(wide(300, 30))
    assert columns["plant"].type == "category" and columns["plant"].values.keys() == {"007", "012", "120"}
    assert columns["empty"].is_constant and columns["firmware"].is_constant and columns["remark"].is_text
    assert columns['odd "name"'].name == "odd name"
    assert sum(column.type == "number" for column in columns.values()) == 30


@settings(max_examples=10)
@given(st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=40))
def test_any_whole_numbers_keep_their_range(tmp_path_factory, numbers):
    from pipelines.adopt.columns import find_columns
    from pipelines.adopt.source import read_source
    from tests.engine.adopt.tables import write_csv

    folder = tmp_path_factory.mktemp("numbers")
    write_csv(folder / "t.csv", {"a": numbers, "b": ["x"] * len(numbers)})
    (column, _), _ = find_columns(read_source(str(folder / "t.csv"), None, folder).connection)
    assert (column.type, column.low, column.high) == ("integer", min(numbers), max(numbers))


@given(st.text(max_size=30))
def test_any_text_survives_as_yaml(text):
    import yaml

    assert yaml.safe_load(f"[{as_yaml(text)}]") == [text]
    assert yaml.safe_load(as_yaml({text: 1})) == {text: 1}


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_any_number_of_a_case_keeps_its_digits(number):
    import yaml

    text = render("first.yaml.j2", cases=[("a row", {"big": number}, "positive")])
    assert yaml.safe_load(text)[0]["row"] == {"big": number}


def test_a_column_of_lists_or_durations_is_left_out(tmp_path):
    path, days = tmp_path / "table.parquet", pa.array([n % 7 for n in range(MANY)])
    lists = pa.FixedSizeListArray.from_arrays(pa.array([0.5] * 2 * MANY), 2)
    columns = {"n": days, "lists": lists, "times": pa.array([[datetime(2025, 1, 1)]] * MANY)}
    pq.write_table(pa.table({**columns, "duration": days.cast(pa.duration("s"))}), path)
    number, *others = find_columns(read_source(str(path), None, tmp_path).connection)[0]
    assert number.type == "integer"
    assert [(column.is_text, "is left out" in column.unsure[0]) for column in others] == [(True, True)] * 3


@given(st.text(max_size=30))
def test_any_name_becomes_one_that_the_schema_takes(text):
    from pipelines.config.table_schema import Column, Table

    name = schema_name(text, {"taken"})
    Table(key=name, target=name, columns={name: Column(type="identifier")})
    assert names.slug(f"a{text}")[0].isalpha()


def test_a_number_keeps_its_digits(found):
    values = np.random.default_rng(0).normal(size=50).round(3).tolist()
    column = found({"a": values, "b": [1] * 50})["a"]
    assert (column.low, column.high) == (min(values), max(values))


def test_a_table_beside_the_repository_is_named_by_its_whole_path(tmp_path, monkeypatch):
    write_csv(tmp_path / "table.csv", {"a": [1, 2]})
    write_csv(tmp_path / "copy.csv", {"a": [1, 2]})
    root = tmp_path / "copy"
    (root / "rows").mkdir(parents=True)
    write_csv(root / "rows/table.csv", {"a": [1, 2]})
    monkeypatch.chdir(root)
    assert read_source("../table.csv", None, root).ingest["paths"] == [str(tmp_path / "table.csv")]
    assert read_source("../copy.csv", None, root).ingest["paths"] == [str(tmp_path / "copy.csv")]
    assert read_source("./rows/../rows/table.csv", None, root).ingest["paths"] == ["rows/table.csv"]
