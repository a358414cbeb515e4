"""What features/prepare.py is given, what it may return, and how a function that may not be used is refused."""

import textwrap
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.read import validate
from pipelines.config.table_schema import Table
from pipelines.tables.preparation import load_preparation

COLUMNS = {
    "order_id": {"type": "identifier"},
    "ordered_at": {"type": "timestamp"},
    "price": {"type": "number", "nullable": True},
    "items": {"type": "integer", "nullable": True},
    "gift": {"type": "boolean", "nullable": True},
    "paid": {"type": "boolean"},
    "size": {"type": "category", "nullable": True},
    "shop": {"type": "category", "sensitive": True},
    "refund": {"type": "number", "known": "after", "nullable": True},
    "returned": {"type": "boolean", "nullable": True},
    "returned_at": {"type": "timestamp", "nullable": True},
}
ROWS = 12


@pytest.fixture
def prepare(tmp_path):
    """Run the body of a function `prepare` on rows; `prepared` are the columns that the schema marks."""

    def run(body, rows=None, before="", **prepared):
        (tmp_path / "features").mkdir(exist_ok=True)
        text = f"{before}\ndef prepare(frame):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        (tmp_path / "features/prepare.py").write_text(text)
        return load(tmp_path, **prepared).run(orders() if rows is None else rows)

    return run


def load(folder, **prepared):
    columns = COLUMNS | {name: {"type": kind, "nullable": True, "prepared": True} for name, kind in prepared.items()}
    roles = {"key": "order_id", "target": "returned", "event_time": "ordered_at", "label_time": "returned_at"}
    return load_preparation(validate(Table, {**roles, "columns": columns}, "params.yaml"), folder)


def orders():
    """Orders from the newest to the oldest; the last has no value where it may."""
    times = [datetime(2026, 1, 1) + timedelta(hours=ROWS - i) for i in range(ROWS)]
    some = lambda values: [*values[:-1], None]  # noqa: E731
    return pa.table(
        {
            "order_id": [f"o{i:02}" for i in range(ROWS)],
            "ordered_at": pa.array(times, pa.timestamp("s")),
            "price": some([i + 0.5 for i in range(ROWS)]),
            "items": some(list(range(ROWS))),
            "gift": some([i % 2 == 0 for i in range(ROWS)]),
            "paid": [i % 3 == 0 for i in range(ROWS)],
            "size": some(["S", "M", "L"] * 4),
            "shop": [f"shop {i}" for i in range(ROWS)],
            "refund": some([1.0] * ROWS),
            "returned": some([True] * ROWS),
            "returned_at": pa.array(some(times), pa.timestamp("s")),
            "unknown": list(range(ROWS)),
        }
    )


def test_the_frame_has_the_columns_that_are_known_when_predicting_in_order_of_time(prepare):
    names = prepare("return frame.assign(names=' '.join(frame.columns))", names="category")["names"]
    assert set(names.to_pylist()) == {"order_id ordered_at price items gift paid size shop"}
    places = prepare("return frame.assign(place=range(len(frame)))", place="integer")["place"]
    assert places.to_pylist() == list(range(ROWS))[::-1]


@pytest.mark.parametrize("rows", [ROWS, ROWS - 1])
def test_the_dtypes_follow_from_the_schema_and_not_from_the_values(prepare, rows):
    body = "return frame.assign(dtypes=' '.join(str(dtype) for dtype in frame.dtypes))"
    (dtypes,) = set(prepare(body, orders().slice(0, rows), dtypes="category")["dtypes"].to_pylist())
    assert dtypes == "object datetime64[us] float64 float64 boolean bool object object"


@pytest.mark.parametrize(
    "expression, kind, last",
    [
        ("frame.price * 2", "number", None),
        ("frame['items'] + 1", "integer", None),
        ("frame.gift ^ frame.paid", "boolean", None),
        ("frame.paid", "boolean", False),
        ("frame['size'].str.lower()", "category", None),
        ("frame['size'].astype('category')", "category", None),
        ("frame.ordered_at.dt.floor('D')", "timestamp", datetime(2026, 1, 1)),
        ("frame.ordered_at.dt.tz_localize('Europe/Vienna')", "timestamp", datetime(2026, 1, 1)),
        ("[None] * len(frame)", "number", None),
    ],
)
def test_a_column_has_the_type_of_the_schema(prepare, expression, kind, last):
    made = prepare(f"return frame.assign(made={expression})", made=kind)["made"]
    types = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "category": pa.string()}
    assert (made.type, made[-1].as_py()) == (types.get(kind, pa.timestamp("us")), last)


@pytest.mark.parametrize(
    "order", ["sort_values('price')", "sort_values('price').reset_index(drop=True)", "sample(frac=1)", "iloc[::-1]"]
)
def test_rows_in_another_order_are_matched_by_their_key(prepare, order):
    made = prepare(f"return frame.assign(made=frame.order_id + '!').{order}", made="category")["made"]
    assert made.to_pylist() == [f"o{i:02}!" for i in range(ROWS)]


def test_the_key_and_the_prepared_columns_are_enough(prepare):
    made = prepare("return frame.assign(made=1)[['made', 'order_id']]", made="integer")
    assert made.column_names == ["made"] and len(made) == ROWS


def test_a_column_may_be_added_to_the_frame_itself_and_a_copy_is_given_each_time(prepare, tmp_path):
    body = "assert 'made' not in frame.columns\nframe['made'] = 1\nreturn frame"
    prepare(body, made="integer")
    loaded = load(tmp_path, made="integer")
    assert loaded.run(orders()).equals(loaded.run(orders()))


def test_modules_of_the_folder_can_be_imported_and_are_read_each_time(prepare, tmp_path):
    (tmp_path / "features").mkdir()
    for value in (1, 23456):
        (tmp_path / "features/windows.py").write_text(f"def count():\n    return {value}\n")
        made = prepare("return frame.assign(made=count())", before="from features.windows import count", made="integer")
        assert set(made["made"].to_pylist()) == {value}


REFUSED = [
    ("frame.loc[3, 'price'] = 7.0\nreturn frame", "changes the column price"),
    ("frame['size'] = frame['size'].fillna('none')\nreturn frame", "changes the column size"),
    ("return frame.assign(ordered_at=frame.ordered_at.dt.floor('D'))", "changes the column ordered_at"),
    ("return frame.assign(returned=True)", "makes the column returned, which comes from data/"),
    ("return frame.assign(returned_at=frame.ordered_at)", "makes the column returned_at, which comes from data/"),
    ("return frame.assign(order_id='o' + frame.order_id)", "0 of 12 rows by their order_id, and 12 with another"),
    ("return frame.assign(order_id='o01')", "11 rows with the order_id of another row"),
    ("return frame.iloc[2:]", "10 of 12 rows by their order_id"),
    ("return frame.dropna()", "11 of 12 rows by their order_id"),
    ("import pandas as pd\nreturn pd.concat([frame, frame.head(2)])", "2 rows with the order_id of another row"),
    (
        "import pandas\nreturn pandas.concat([frame, frame.head(1).assign(order_id='x')])",
        "12 of 12 rows by their order",
    ),
    ("return frame.drop(columns='order_id')", "does not return the key order_id"),
    ("return frame", "does not make the column made"),
    ("return frame.assign(other=1)", "makes the column other, which is not in schema.columns"),
    ("return frame.assign(made='many')", "makes the column made of object, which is not number in every row"),
    ("return frame.assign(made=[1, 'x'] * 6)", "makes the column made of object, which is not number in every row"),
    ("return frame.price", "returns a Series instead of a DataFrame"),
    ("return None", "returns a NoneType instead of a DataFrame"),
    ("frame['price'].mean()", "returns a NoneType instead of a DataFrame"),
]


@pytest.mark.parametrize("body, message", REFUSED)
def test_any_other_result_is_refused_with_the_column_named(prepare, body, message):
    if "made" not in message:
        body = f"frame['made'] = 1.0\n{body}"
    with pytest.raises(InputError, match="features/prepare.py") as caught:
        prepare(body, made="number")
    assert message in str(caught.value)


def test_the_error_of_a_function_names_the_last_line_of_the_teams_code(prepare, tmp_path):
    with pytest.raises(InputError) as caught:
        prepare("x = 1\nreturn frame.assign(made=frame.prices)", made="number")
    assert "AttributeError: 'DataFrame' object has no attribute 'prices'" in str(caught.value)
    assert "prepare.py line 4: `return frame.assign(made=frame.prices)`" in str(caught.value)
    (tmp_path / "features/sums.py").write_text("def total(frame):\n    return frame['sum']\n")
    with pytest.raises(InputError, match="sums.py line 2"):
        prepare("return total(frame)", before="from features.sums import total", made="number")


def test_the_label_is_not_given_and_who_reads_it_is_told(prepare):
    with pytest.raises(InputError, match="returned is not among the columns that it is given"):
        prepare("return frame.assign(made=frame['returned'])", made="boolean")


def test_an_error_shows_no_sensitive_value(prepare):
    with pytest.raises(InputError) as caught:
        prepare("return frame.assign(made=frame.shop.astype(float))", made="number")
    assert "ValueError" in str(caught.value) and "shop 1" not in str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("def prepare(frame:\n", "SyntaxError"),
        ("import missing_library\n", "No module named 'missing_library'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero, prepare.py line 1"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("prepared = 1\n", "has no function prepare"),
        ("ROW_WISE = 'yes'\ndef prepare(frame):\n    return frame\n", "ROW_WISE is 'yes'"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused(tmp_path, text, message):
    (tmp_path / "features").mkdir()
    (tmp_path / "features/prepare.py").write_text(text)
    with pytest.raises(InputError, match="features/prepare.py") as caught:
        load(tmp_path)
    assert message in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        load(tmp_path)


@pytest.mark.parametrize("begin", [None, "FACTOR = 3\n"])
def test_modules_beside_it_are_those_of_its_own_work_tree(prepare, tmp_path, monkeypatch, begin):
    other = tmp_path / "other/features"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("FACTOR = 5\n")
    (other / "words.py").write_text("FACTOR = 7\n")
    (other / "later.py").touch()
    monkeypatch.syspath_prepend(other.parent)
    (tmp_path / "features").mkdir()
    (tmp_path / "features/words.py").write_text("FACTOR = 2\n")
    if begin:
        (tmp_path / "features/__init__.py").write_text(begin)
    made = prepare("return frame.assign(made=FACTOR)", before="from features.words import FACTOR", made="integer")
    assert set(made["made"].to_pylist()) == {2}
    if begin:
        made = prepare("return frame.assign(made=FACTOR)", before="from features import FACTOR", made="integer")
        assert set(made["made"].to_pylist()) == {3}
    with pytest.raises(InputError, match="No module named 'features.later'"):
        prepare("return frame", before="import features.later")


@pytest.mark.parametrize("expression", ["pandas.cut(frame.price, 3)", "'\\ud800'"])
def test_values_that_are_neither_text_nor_number_are_refused(prepare, expression):
    with pytest.raises(InputError, match="makes the column made of .*, which is not category in every row"):
        prepare(f"return frame.assign(made={expression})", before="import pandas", made="category")
