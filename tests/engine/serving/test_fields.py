"""The valid values of fields, compared with the scorer that judged the model."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.model import encoding as scorer_encoding
from pipelines.model.encoding import to_epoch
from pipelines.model.signature import Input
from pipelines.model.value_rules import check_value
from serving import fields, times
from serving.fields import MAX_NUMBER, abbreviated, explain, is_valid
from serving.rows import RowReader
from serving.signature import Field, Signature
from serving.times import MAX_EPOCH
from tests.engine.serving.samples import ANYTHING, FIELDS, is_odd_time

PRICE = Field("price", "number", min=0, max=1000)
ITEMS = Field("items", "integer", min=1, max=50)
SIZE = Field("size", "category", allowed=("S", "M"))
SHOP = Field("shop", "category", nullable=True)
GIFT = Field("gift", "boolean", nullable=True)
AT = Field("at", "timestamp")
BARE = Field("bare", "number", nullable=True)
ALL = [PRICE, ITEMS, SIZE, SHOP, GIFT, AT, BARE]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (PRICE, 0, 0.0),
        (PRICE, 1000.0, 1000.0),
        (ITEMS, 3.0, 3.0),
        (SIZE, "M", "M"),
        (SHOP, "café", "café"),
        (SHOP, "", ""),
        (SHOP, None, ""),
        (GIFT, True, 1.0),
        (GIFT, 0, 0.0),
        (GIFT, 1.0, 1.0),
        (AT, "1970-01-02", 86_400),
        (AT, "1970-01-01T01:00:00+01:00", 0),
        (AT, 1.9, 1),
        (AT, -0.5, -1),
        (AT, 1 - MAX_EPOCH, 1 - MAX_EPOCH),
        (BARE, MAX_NUMBER, MAX_NUMBER),
        (BARE, -MAX_NUMBER, -MAX_NUMBER),
    ],
)
def test_a_valid_value_is_encoded_for_the_graph(field, value, expected):
    assert is_valid(field, value)
    (encoded,) = read(field, value)
    assert encoded == expected and isinstance(encoded, type(expected) | bool)


def read(field, value):
    signature = Signature("m", "regression", "t", (field,), "value", {}, {})
    return RowReader(signature, 1).read_row(json.dumps({field.name: value}).encode())


def test_a_missing_number_is_nan():
    for field in (GIFT, BARE):
        for value in (None, ""):
            (encoded,) = read(field, value)
            assert is_valid(field, value) and math.isnan(encoded)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (PRICE, None),
        (PRICE, ""),
        (PRICE, -0.01),
        (PRICE, 1000.01),
        (PRICE, "12.5"),
        (PRICE, True),
        (PRICE, [1]),
        (PRICE, {}),
        (PRICE, 10**400),
        (PRICE, math.inf),  # 1e999 of JSON
        (BARE, 1e39),
        (BARE, math.nextafter(MAX_NUMBER, math.inf)),
        (BARE, -math.inf),
        (ITEMS, 3.5),
        (ITEMS, 0),
        (ITEMS, False),
        (SIZE, "L"),
        (SIZE, None),
        (SIZE, ["S"]),
        (SIZE, 1),
        (SHOP, "web\0"),
        (SHOP, 1),
        (SHOP, {}),
        (GIFT, 2),
        (GIFT, "true"),
        (GIFT, []),
        (AT, None),
        (AT, ""),
        (AT, True),
        (AT, MAX_EPOCH),
        (AT, -MAX_EPOCH),
        (AT, math.inf),
        (AT, 10**400),
        (AT, "noon"),
        (AT, "2026-02-30"),
        (AT, "１９７０-01-01"),
        (AT, "\ud800"),
        (AT, [0]),
    ],
)
def test_an_invalid_value_is_explained(field, value):
    assert not is_valid(field, value)
    error = explain(field, {field.name: value})
    assert error.field == field.name and f"expected {field.expects()}" in error.reason
    assert len(error.reason) < 250 and error.reason.isprintable()


def scorer_input(field):
    return Input(field.name, field.type, field.nullable, field.min, field.max, field.allowed, field.sensitive)


ANY_VALUE = ANYTHING | st.just(math.inf) | st.one_of(list(FIELDS.values()))


@settings(max_examples=250)
@given(st.sampled_from(ALL), ANY_VALUE)
def test_the_scorer_accepts_the_same_values(field, value):
    """Except times as text."""
    rejected = check_value(scorer_input(field), value)
    if not is_valid(field, value):
        assert rejected is not None or (field.type == "timestamp" and is_odd_time(value))
        return
    assert rejected is None
    if field.type == "timestamp":
        assert times.to_epoch(value) == to_epoch(value)


def test_ranges_are_those_of_the_scorer():
    assert (scorer_encoding.MAX_EPOCH, scorer_encoding.MAX_NUMBER) == (MAX_EPOCH, MAX_NUMBER)
    assert fields.number_range(PRICE) == (0, 1000)
    assert fields.number_range(BARE) == (-MAX_NUMBER, MAX_NUMBER)
    assert fields.number_range(Field("wide", "number", min=-1e300, max=1e300)) == (-MAX_NUMBER, MAX_NUMBER)


@given(ANYTHING)
def test_an_explanation_never_contains_a_sensitive_value(value):
    secret = Field("secret", "number", sensitive=True)
    reasons = {explain(secret, {"secret": other}).reason for other in (0, None)}
    assert explain(secret, {"secret": value}).reason in reasons


@given(ANYTHING)
def test_any_value_can_be_abbreviated(value):
    text = abbreviated(value)
    assert len(text.encode()) < 1000
    assert json.loads(json.dumps(text)) == text


def test_an_array_or_an_object_is_only_named():
    """Writing ten megabytes as text to show sixty characters would take as long as reading them."""
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert (abbreviated(deep), abbreviated([]), abbreviated({"a": deep})) == ("an array", "an array", "an object")


def test_a_long_value_is_cut():
    assert abbreviated(10**5000) == "a value that cannot be shown"
    assert abbreviated("x" * 1000) == repr("x" * 60)


def test_a_missing_prepared_value_is_told_where_it_comes_from():
    taken = explain(Field("count_1h", "integer", prepared=True), {})
    assert taken.field == "count_1h" and "features/prepare.py" in taken.reason
    assert "features/prepare.py" not in explain(Field("items", "integer"), {}).reason
