from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables.cast import cast_lossless

NOON = datetime(2026, 1, 1, 12)
ZONE = timezone(timedelta(hours=2))


def cast(values, kind, type_=None):
    column = cast_lossless(pa.chunked_array([pa.array(values, type_)]), kind)
    return None if column is None else column.to_pylist()


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("number", [1, None], [1.0, None]),
        ("number", ["1.5", "", "NA"], [1.5, None, None]),
        ("number", [Decimal("1.25")], [1.25]),
        ("integer", [1.0, None], [1, None]),
        ("integer", ["12", "7.0"], [12, 7]),
        ("integer", [True, False], [1, 0]),
        ("boolean", ["true", "false", None], [True, False, None]),
        ("boolean", [1, 0, None], [True, False, None]),
        ("boolean", [1.0, None], [True, None]),
        ("category", ["NA", "DE", None], ["NA", "DE", None]),
        ("identifier", [17, None], ["17", None]),
        ("timestamp", ["2026-01-01 12:00:00", None], [NOON, None]),
        ("timestamp", ["2026-01-01T12:00:00Z"], [NOON]),
        ("timestamp", ["2026-01-01T14:00:00+02:00"], [NOON]),
        ("timestamp", [datetime(2026, 1, 1, 12, tzinfo=UTC)], [NOON]),
        ("timestamp", [datetime(2026, 1, 1, 14, tzinfo=ZONE)], [NOON]),
        ("timestamp", [date(2026, 1, 1)], [NOON.replace(hour=0)]),
        ("timestamp", [NOON.replace(microsecond=250_000)], [NOON.replace(microsecond=250_000)]),
        ("integer", [None, None], [None, None]),
        ("timestamp", [None], [None]),
        ("category", [None], [None]),
    ],
)
def test_a_column_is_cast_if_no_value_changes(kind, values, expected):
    assert cast(values, kind) == expected


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", ["1,5"]),
        ("number", [2**60 + 1]),
        ("number", [NOON]),
        ("integer", [1.5]),
        ("integer", ["x"]),
        ("integer", [float("nan")]),
        ("boolean", [2]),
        ("boolean", ["perhaps"]),
        ("boolean", [0.5]),
        ("category", [1.0]),
        ("category", [True]),
        ("timestamp", ["soon"]),
        ("timestamp", [1_700_000_000]),
        ("number", [[1.0]]),
    ],
)
def test_a_column_is_not_cast_if_a_value_would_change(kind, values):
    assert cast(values, kind) is None


def test_a_dictionary_column_is_cast_by_its_values():
    assert cast(pa.array(["a", "b", "a"]).dictionary_encode(), "category") == ["a", "b", "a"]


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()))
def test_integers_survive_as_text(values):
    text = pa.array([None if v is None else str(v) for v in values], pa.string())
    assert cast(text, "integer") == values


@given(st.lists(st.floats(allow_nan=False) | st.none()))
def test_numbers_survive_as_text(values):
    text = pa.array([None if v is None else repr(v) for v in values], pa.string())
    assert cast(text, "number") == values
