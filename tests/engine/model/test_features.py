import datetime as dt
import math
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.params import parse
from pipelines.model import features
from pipelines.model.encoding import MAX_EPOCH
from pipelines.model.inputs import inputs_of
from tests.engine.fixtures_model import SMALL


def graph_of(section, vocabulary=None, text=SMALL):
    """A session of the feature graph of a `features:` section, and the names of its columns."""
    block_from, block_to = text.index("features:"), text.index("candidates:")
    params = parse(text[:block_from] + f"features: {section}\n" + text[block_to:])
    made = features.graph(params, vocabulary or {})
    return onnxruntime.InferenceSession(made.model.SerializeToString(), providers=["CPUExecutionProvider"]), made.names


def derive(op, **columns):
    """The function of one derived feature: columns as keywords, one float32 a row."""
    operands = ", ".join(f"{role}: {name}" for role, name in columns.items())
    session, names = graph_of(f"{{use: [], derive: {{it: {{op: {op}, {operands}}}}}}}")
    assert names == ("it",)

    def run(**values):
        feed = {name: np.asarray(column)[:, None] for name, column in values.items()}
        (answer,) = session.run(["features"], feed)
        assert answer.dtype == np.float32 and answer.shape[1] == 1
        return answer[:, 0]

    return run


LOG1P = derive("log1p", of="price")
HOUR = derive("hour", of="ordered_at")
WEEKDAY = derive("weekday", of="ordered_at")
WEEKEND = derive("is_weekend", of="ordered_at")
RATIO = derive("ratio", of="price", to="usual_price")
DIFFERS = derive("differs", of="size", to="usual_size")

FLOATS = st.lists(st.floats(width=32), min_size=1, max_size=20)
SECONDS = st.integers(-MAX_EPOCH + 1, MAX_EPOCH - 1)
OF_CALENDAR = st.datetimes(timezones=st.just(dt.UTC)).map(
    lambda moment: (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(seconds=1)
)


def moment_of(seconds):
    return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)


@given(FLOATS)
def test_log1p_agrees_with_numpy_and_is_zero_for_negative_numbers(values):
    column = np.array(values, dtype=np.float32)
    expected = np.where(np.isnan(column), np.nan, np.log1p(np.maximum(column.astype(np.float64), 0)))
    np.testing.assert_allclose(LOG1P(price=column), expected, rtol=1e-5, atol=1e-6)


def test_log1p_of_a_missing_number_is_missing():
    assert math.isnan(LOG1P(price=np.array([math.nan], dtype=np.float32))[0])


@given(st.lists(OF_CALENDAR, min_size=1, max_size=20))
def test_hour_weekday_and_weekend_agree_with_datetime_even_before_1970(seconds):
    column = np.array(seconds, dtype=np.int64)
    moments = [moment_of(value) for value in seconds]
    assert HOUR(ordered_at=column).tolist() == [moment.hour for moment in moments]
    assert WEEKDAY(ordered_at=column).tolist() == [moment.weekday() for moment in moments]
    assert WEEKEND(ordered_at=column).tolist() == [moment.weekday() >= 5 for moment in moments]


@given(st.lists(SECONDS, min_size=1, max_size=20))
def test_hour_and_weekday_work_for_times_outside_the_calendar(seconds):
    column = np.array(seconds, dtype=np.int64)
    assert HOUR(ordered_at=column).tolist() == [value % 86_400 // 3600 for value in seconds]
    assert WEEKDAY(ordered_at=column).tolist() == [(value // 86_400 + 3) % 7 for value in seconds]


@pytest.mark.parametrize(
    ("seconds", "hour", "weekday"),
    [(0, 0, 3), (-1, 23, 2), (-86_400, 0, 2), (-86_401, 23, 1), (3_599, 0, 3), (3_600, 1, 3), (172_800, 0, 5)],
)
def test_hour_and_weekday_change_at_the_exact_second(seconds, hour, weekday):
    column = np.array([seconds], dtype=np.int64)
    values = (HOUR(ordered_at=column)[0], WEEKDAY(ordered_at=column)[0], WEEKEND(ordered_at=column)[0])
    assert values == (hour, weekday, weekday >= 5)


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=20))
def test_ratio_is_the_quotient_if_the_divisor_is_positive(pairs):
    of, to = np.array(pairs, dtype=np.float32).T
    with np.errstate(all="ignore"):
        expected = np.where(to > np.float32(1e-6), of / to, np.nan)
    np.testing.assert_allclose(RATIO(price=of, usual_price=to), expected, rtol=1e-6)


def test_ratio_is_missing_if_the_divisor_is_missing_or_not_positive():
    of = np.array([5, 5, 5, 0, math.nan], dtype=np.float32)
    to = np.array([0, -2, math.nan, 0, 2], dtype=np.float32)
    assert np.isnan(RATIO(price=of, usual_price=to)).all()


@given(st.lists(st.tuples(st.sampled_from(["S", "M", "L", ""]), st.sampled_from(["S", "M", "L", ""])), min_size=1))
def test_differs_is_one_where_two_categories_are_not_equal(pairs):
    of, to = np.array(pairs, dtype=object).T
    assert DIFFERS(size=of, usual_size=to).tolist() == [a != b for a, b in pairs]


# The other operations, beside what pandas makes of the same float32 columns.
LARGEST = np.finfo(np.float32).max


BUCKETS = [-np.inf, -1.0, 0.0, float(np.float32(0.1)), 7.0, np.inf]


def finite(values):
    return values.clip(-LARGEST, LARGEST)


DERIVED = {
    "difference": ("of: price, to: usual_price", lambda f: finite(f.price - f.usual_price)),
    "product": ("of: price, to: usual_price", lambda f: finite(f.price * f.usual_price)),
    "clip": ("of: price, min: -2.5, max: 1000000.0", lambda f: f.price.clip(-2.5, 1e6)),
    "bucket": (
        "of: price, edges: [-1, 0, 0.1, 7]",
        lambda f: pd.cut(finite(f.price), BUCKETS, right=False, labels=False),
    ),
    "age_in_days": ("of: ordered_at, to: sent_at", lambda f: (f.sent_at - f.ordered_at).astype("float32") / 86_400),
    "is_missing": ("of: price", lambda f: f.price.isna().astype("float32")),
}
EXTREMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, float(LARGEST), -float(LARGEST), 1e-45, -1.0, 0.1, 7.0, 1e6]
NUMBERS = st.floats(width=32) | st.sampled_from(EXTREMES).map(lambda value: float(np.float32(value)))
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, SECONDS, SECONDS), min_size=1, max_size=30)


@pytest.mark.parametrize("op", DERIVED)
@given(rows=ROWS)
def test_an_operation_agrees_with_pandas_for_missing_infinite_and_extreme_values(op, rows):
    operands, in_pandas = DERIVED[op]
    run = derived_by(op, operands)
    price, usual, ordered, sent = zip(*rows, strict=True)
    columns = {
        "price": np.array(price, dtype=np.float32),
        "usual_price": np.array(usual, dtype=np.float32),
        "ordered_at": np.array(ordered, dtype=np.int64),
        "sent_at": np.array(sent, dtype=np.int64),
    }
    with np.errstate(all="ignore"):
        expected = in_pandas(pd.DataFrame(columns)).to_numpy(dtype=np.float32)
    values = run({name: column for name, column in columns.items() if name in operands})
    np.testing.assert_array_equal(values, expected)


@cache
def derived_by(op, operands):
    wide = SMALL.replace("{type: number, min: 0, max: 1000}", "{type: number}\n    sent_at: {type: timestamp}")
    session, _ = graph_of(f"{{use: [], derive: {{it: {{op: {op}, {operands}}}}}}}", text=wide)
    return lambda columns: session.run(["features"], {k: v[:, None] for k, v in columns.items()})[0][:, 0]


@given(st.lists(st.sampled_from(["", " ", "web", "\n"]), min_size=1))
def test_a_category_is_missing_if_it_is_empty(shops):
    column = np.array([shop or None for shop in shops], dtype=object)
    values = derive("is_missing", of="shop")(shop=np.array(shops, dtype=object))
    assert values.tolist() == pd.Series(column).isna().astype(float).tolist()


ONE_HOT, HOT_NAMES = graph_of("{use: [shop, size]}", {"shop": ["", "city", "web"], "size": ["S", "M", "L"]})


def one_hot(shops, sizes):
    feed = {"shop": np.array(shops, dtype=object)[:, None], "size": np.array(sizes, dtype=object)[:, None]}
    return ONE_HOT.run(["features"], feed)[0]


@given(st.lists(st.tuples(st.text(max_size=5).filter(lambda text: "\0" not in text), st.sampled_from("SML"))))
def test_a_category_is_one_hot_and_an_unknown_value_is_all_zeros(rows):
    known = ["", "city", "web"]
    shops = [shop for shop, _ in rows] + ["web", "", "Web", "web "]
    sizes = [size for _, size in rows] + ["S"] * 4
    values = one_hot(shops, sizes)
    assert HOT_NAMES == ("shop=missing", "shop=city", "shop=web", "size=S", "size=M", "size=L")
    assert values[:, :3].tolist() == [[float(shop == word) for word in known] for shop in shops]
    assert values[:, 3:].tolist() == [[float(size == word) for word in "SML"] for size in sizes]


def test_numbers_and_booleans_pass_unchanged_even_if_missing():
    session, names = graph_of("{use: [price, gift, items]}")
    values = np.array([1.5, math.nan, 0.0], dtype=np.float32)
    (matrix,) = session.run(["features"], dict.fromkeys(("price", "gift", "items"), values[:, None]))
    assert names == ("price", "gift", "items")
    np.testing.assert_array_equal(matrix, np.stack([values] * 3, axis=1))


def test_no_rows_give_no_features_of_the_same_width(logistic):
    nothing = {name: values[:0] for name, values in logistic.encoded.items()}
    assert logistic.graph.transform(nothing).shape == (0, len(logistic.graph.names))


def test_the_graph_names_each_of_its_columns(logistic):
    values = logistic.graph.transform(logistic.encoded)
    assert values.shape == (400, len(logistic.graph.names)) and values.dtype == np.float32
    by_name = dict(zip(logistic.graph.names, values.T, strict=True))
    np.testing.assert_array_equal(by_name["items"], logistic.raw["items"])
    np.testing.assert_array_equal(by_name["size=L"], logistic.raw["size"] == "L")
    np.testing.assert_array_equal(by_name["other_size"], logistic.raw["size"] != logistic.raw["usual_size"])


def test_the_inputs_are_the_columns_that_some_feature_needs():
    params = parse(SMALL)
    inputs = {item.name: item for item in inputs_of(params)}
    assert tuple(inputs) == params.inputs and "order_id" not in inputs and "returned" not in inputs
    assert inputs["region"].sensitive and inputs["size"].allowed == ("S", "M", "L")
    assert (inputs["price"].min, inputs["price"].max, inputs["usual_price"].nullable) == (0, 1000, True)


def test_two_graphs_of_the_same_params_are_the_same_bytes(logistic):
    again = features.graph(logistic.params, features.vocabulary_of(logistic.params, logistic.encoded))
    assert again.model.SerializeToString(deterministic=True) == logistic.graph.model.SerializeToString(
        deterministic=True
    )
    onnx.checker.check_model(again.model, full_check=True)


# The words of a category.


def test_the_vocabulary_holds_all_allowed_values_and_missing_if_nullable():
    params = parse(SMALL.replace("use: [price,", "use: [usual_size, price,"))
    columns = {"size": ["S"], "usual_size": ["S"], "region": ["north"], "shop": ["web"]}
    words = features.vocabulary_of(params, {name: np.array(values, dtype=object) for name, values in columns.items()})
    assert words["size"] == ("S", "M", "L") and words["usual_size"] == ("S", "M", "L", "")


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(1, 5))
def test_the_vocabulary_holds_the_most_frequent_values_of_a_free_category(shops, limit):
    params = parse(SMALL)
    fixed = {"size": np.array(["S"], dtype=object), "region": np.array(["north"], dtype=object)}
    words = features.vocabulary_of(params, {"shop": np.array(shops, dtype=object), **fixed}, limit)["shop"]
    assert list(words) == sorted(words) and len(words) == min(limit, len(set(shops)))
    rarest = min(shops.count(word) for word in words)
    assert all(shops.count(other) <= rarest for other in set(shops) - set(words))
