import datetime as dt
import decimal
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.model import value_rules
from pipelines.model.encoding import encode
from pipelines.model.signature import Input
from pipelines.model.value_rules import check_batch, check_column, check_value, read_text

ENDS = st.sampled_from([None, -5, 0, 0.01, 0.1, 3, 1000])


@st.composite
def inputs(draw):
    kind = draw(st.sampled_from(["number", "integer", "boolean", "category", "timestamp"]))
    low, high = (draw(ENDS), draw(ENDS)) if kind in ("number", "integer") else (None, None)
    if low is not None and high is not None and low > high:
        low, high = high, low
    allowed = draw(st.sampled_from([None, ("a", "b"), ("1", "NO", "nan")])) if kind == "category" else None
    nullable = kind != "timestamp" and draw(st.booleans())
    return Input("field", kind, nullable, low, high, allowed)


EDGES = [
    *("", " ", " 7 ", "\u2003 7", "a\0", "١٢", "nan", "NaN", "-nan", "+nan", "nan(1)", "inf", "-inf", "Infinity"),
    *("1e999", "-1e999", "3.5e38", "3.4e38", "1", "0", "-0", "001", "+1", "+1.5", ".5", "5.", "1.e2", "1e3", "1e"),
    *("1_000", "0x10", "+", ".", "12,5", "1.0", "3.5", "50", "51", "1000.0000001", "0.01", "9" * 400),
    *("true", "TRUE", "False", "yes", "NO", "a", "b", "20260131", "20261331", "1767225600", "1099511627776"),
    *("-1", "-1.5", "2026-01-01", "20260101T101112", "2026-W01-1", "2026-01-01T10", "2026-13-01T00:00:00Z"),
    *("2026-01-01T24:00:00Z", "0000-01-01T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999Z"),
    *("2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00-00:30", "2026-01-01T10:00:00.1234567Z"),
    *("1969-12-31T23:59:59.9", "2026-01-01T10:00:60", "2026-02-30 00:00:00", " 2026-01-01 10:00:00"),
]
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(EDGES),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: moment.isoformat(" ", "seconds")),
    st.datetimes().map(lambda moment: moment.isoformat("T", "seconds") + "Z"),
)
TIMES = st.integers(-(2**62), 2**62)
ARROWS = {
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.float64(): st.floats() | st.sampled_from([0.0, 1.0, 0.01, 1000.0, 3.4e38, 3.5e38, 2.0**40, -(2.0**40)]),
    pa.float32(): st.floats(width=32) | st.sampled_from([0.01, 0.1, 1.0]).map(np.float32),
    pa.int64(): st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 1001) | st.sampled_from([2**40 - 1, 2**40]),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1) | st.integers(0, 3),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.timestamp("s"): TIMES | st.integers(-(2**40) - 2, 2**40 + 2),
    pa.timestamp("us"): TIMES,
    pa.timestamp("ns", "Europe/Berlin"): TIMES,
    pa.date32(): st.integers(-(2**31), 2**31 - 1).map(int),
    pa.decimal128(12, 2): st.decimals(-1000, 2000, places=2, allow_nan=False),
    pa.binary(): st.binary(max_size=3),
    pa.list_(pa.int8()): st.lists(st.integers(0, 3), max_size=2),
    pa.time64("ns"): st.integers(0, 86_399_999_999_999),
    pa.duration("ns"): TIMES,
}


@st.composite
def columns(draw):
    kind = draw(st.sampled_from(list(ARROWS)))
    values = draw(st.lists(st.none() | ARROWS[kind], max_size=8))
    # Dates are built of their days: Python's own dates end earlier.
    array = pa.array(values, pa.int32()).cast(kind) if kind == pa.date32() else pa.array(values, kind)
    if kind == pa.string() and draw(st.booleans()):
        return array.dictionary_encode()
    return array


def batch_of(array):
    return pa.RecordBatch.from_arrays([array], names=["field"])


def request_values(item, array):
    """The values of a request that mean the same as the cells of a column."""
    array = value_rules._simplify(array)
    kind = array.type
    if pa.types.is_string(kind):
        return [None if text is None else read_text(item, text) for text in array.to_pylist()]
    if pa.types.is_integer(kind) and item.type == "category":
        return array.cast(pa.string()).to_pylist()
    if pa.types.is_timestamp(kind):
        return list(array.cast(pa.timestamp(kind.unit)).to_numpy(zero_copy_only=False))
    if kind == pa.float32():
        return [None if value is None else np.float32(value) for value in array.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or kind == pa.float64() or pa.types.is_null(kind):
        return array.to_pylist()
    return [object() if valid else None for valid in array.is_valid().to_pylist()]


def assert_checked_as_single_rows(item, array):
    checked = check_batch(batch_of(array), [item])
    raw = request_values(item, array)
    rejections = [check_value(item, value) for value in raw]
    assert checked.accepted.tolist() == [rejection is None for rejection in rejections], (item, array)
    reasons = [rejection.reason for rejection in rejections if rejection]
    missing = checked.columns["field"].missing[~checked.accepted]
    assert [reason.startswith("is missing") for reason in reasons] == missing.tolist(), (item, array)
    fitting = [value for value, rejection in zip(raw, rejections, strict=True) if rejection is None]
    alone = np.empty(len(fitting), dtype=object)
    alone[:] = fitting
    encoded = checked.encoded["field"]
    assert encoded.dtype == {"category": object, "timestamp": np.int64}.get(item.type, np.float32)
    np.testing.assert_array_equal(encoded, encode(item, alone))


@settings(max_examples=300)
@given(inputs(), columns())
def test_a_batch_is_checked_and_encoded_like_its_single_rows(item, array):
    assert_checked_as_single_rows(item, array)


KINDS_OF_INPUT = [
    Input("field", "number"),
    Input("field", "number", nullable=True, min=0.01, max=1000),
    Input("field", "integer", nullable=True),
    Input("field", "integer", min=1, max=50),
    Input("field", "boolean"),
    Input("field", "boolean", nullable=True),
    Input("field", "category"),
    Input("field", "category", nullable=True, allowed=("a", "NO", "001", "nan")),
    Input("field", "timestamp"),
]
EXTREMES = [
    (pa.int64(), [-(2**63), 2**63 - 1, 2**40, 2**40 - 1, -(2**40), 1 - 2**40, 2**53 + 1, 0, 1, 2, 50, 51, None]),
    (pa.uint64(), [2**64 - 5, 2**63, 2**40 - 1, 1, None]),
    (pa.timestamp("s"), [-(2**63), 1 - 2**63, 2**63 - 1, 2**40, 2**40 - 1, -(2**40), 1 - 2**40, 0, None]),
    (pa.timestamp("us", "Asia/Tokyo"), [-(2**63), -(2**63) + 1, 2**63 - 1, -1, -1_000_001, 999_999, None]),
    (pa.float64(), [3.4028234e38, 3.4028236e38, 1e300, -1e300, math.inf, -math.inf, math.nan, -0.5, 0.01, 50.5, None]),
    (pa.float32(), [3.4028234e38, math.inf, math.nan, 0.01, 0.009999999, 1000.0, 1000.0001, -0.5, 1, None]),
    (pa.date32(), [-(2**31), 2**31 - 1, 0, -1, None]),
]


@pytest.mark.parametrize("item", KINDS_OF_INPUT, ids=lambda item: f"{item.type}-{item.nullable}")
def test_edge_cases_are_checked_alike_in_a_batch_and_as_single_rows(item):
    for text in EDGES:
        assert_checked_as_single_rows(item, pa.array([text]))
        assert_checked_as_single_rows(item, pa.array([text, None, "1", text]))
    assert_checked_as_single_rows(item, pa.array(EDGES).dictionary_encode())
    for kind, values in EXTREMES:
        base = pa.int32() if kind == pa.date32() else pa.int64() if pa.types.is_timestamp(kind) else kind
        assert_checked_as_single_rows(item, pa.array(values, base).cast(kind))


def test_a_row_is_accepted_if_all_its_fields_are(logistic):
    scorer = logistic.scorer()
    rows = logistic.rows()
    rows[3]["price"] = -1.0
    rows[5]["size"] = "XL"
    rows[5]["items"] = 99
    batch = pa.RecordBatch.from_pylist(rows)
    checked = check_batch(batch, scorer.signature.inputs)
    assert np.flatnonzero(~checked.accepted).tolist() == [3, 5]
    np.testing.assert_array_equal(scorer.score(checked.encoded), scorer.score(logistic.encoded)[checked.accepted])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("category", "001", "001"),
        ("category", " x ", " x "),
        ("category", "NO", "NO"),
        ("number", " 12.50 ", 12.5),
        ("number", "12,50", "12,50"),
        ("number", "1_000", "1_000"),
        ("number", "inf", "inf"),
        ("integer", "007", 7),
        ("integer", "", None),
        ("boolean", "True", True),
        ("boolean", "0", 0),
        ("boolean", "yes", "yes"),
        ("timestamp", "1767225600", 1767225600),
        ("timestamp", "-1", -1),
        ("timestamp", "20260131", "20260131"),
        ("timestamp", " 2026-01-31 ", "2026-01-31"),
    ],
)
def test_a_text_is_read_by_the_type_of_the_input(kind, text, value):
    result = read_text(Input("field", kind), text)
    assert result == value and type(result) is type(value)


def test_the_text_nan_is_a_missing_number():
    assert math.isnan(read_text(Input("field", "number"), "NaN"))


def test_eight_digits_are_a_day_and_ten_are_seconds():
    checked = check_column(Input("field", "timestamp"), pa.array(["20260131", "1769817600"]))
    assert checked.values.tolist() == [1_769_817_600] * 2


def test_time_zones_of_arrow_and_of_texts_are_applied():
    berlin = dt.timezone(dt.timedelta(hours=1))
    moment = dt.datetime(2026, 1, 1, 1, tzinfo=berlin)
    for array in (
        pa.array([moment], pa.timestamp("ms", "Europe/Berlin")),
        pa.array([dt.datetime(2026, 1, 1)], pa.timestamp("us")),
        pa.array(["2026-01-01T01:00:00+01:00"]),
        pa.array(["2026-01-01T01:00+0100"]),
    ):
        assert check_column(Input("field", "timestamp"), array).values.tolist() == [1_767_225_600]


def test_a_decimal_is_a_number_and_a_whole_number_may_name_a_category():
    array = pa.array([decimal.Decimal("1.50")])
    assert check_column(Input("field", "number", max=1.5), array).accepted.tolist() == [True]
    item = Input("field", "category", allowed=("5411", "42"))
    checked = check_batch(batch_of(pa.array([5411, 7995])), [item])
    assert checked.accepted.tolist() == [True, False] and checked.encoded["field"].tolist() == ["5411"]
