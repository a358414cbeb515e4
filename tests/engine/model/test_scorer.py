import dataclasses
import datetime as dt
import decimal
import math

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.cli.errors import InputError
from pipelines.model.encoding import encode, to_epoch
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input, load_signature
from tests.engine.serving.samples import GOOD


@pytest.fixture(scope="module")
def scorer(logistic):
    return logistic.scorer()


def reasons(scorer, **changes):
    return {rejection.field: rejection.reason for rejection in scorer.check({**GOOD, **changes})}


# The ONNX file against the fitted pipeline.


def test_the_exported_logistic_regression_agrees_with_scikit_learn(logistic):
    expected = logistic.fitted.predict_proba(logistic.graph.transform(logistic.encoded))[:, 1]
    np.testing.assert_allclose(logistic.scorer().score(logistic.encoded), expected, atol=1e-5)


def test_the_exported_boosting_agrees_with_scikit_learn_but_for_a_few_rows(boosting):
    expected = boosting.fitted.predict_proba(boosting.graph.transform(boosting.encoded))[:, 1]
    far = np.abs(boosting.scorer().score(boosting.encoded) - expected) > 1e-5
    assert far.mean() <= 0.01  # float32 rounding decides a row that lies on a threshold


def test_the_exported_regression_agrees_with_scikit_learn(regression):
    expected = regression.fitted.predict(regression.graph.transform(regression.encoded))
    np.testing.assert_allclose(regression.scorer().score(regression.encoded), expected, atol=1e-4)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_score_that_is_not_finite_is_refused_with_the_file_and_the_number_of_rows(logistic, tmp_path, value):
    model = onnx.load(logistic.model)
    last = next(node for node in model.graph.node if "probability" in node.output)
    last.output[list(last.output).index("probability")] = "finite"
    for name, number in (("limit", 0.5), ("value", value)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([[number]]), name))
    make = onnx.helper.make_node
    model.graph.node.append(make("Greater", ["finite", "limit"], ["high"]))
    model.graph.node.append(make("Where", ["high", "value", "finite"], ["probability"]))
    path = tmp_path / "broken.onnx"
    onnx.save(model, path)
    expected = logistic.scorer().score(logistic.encoded)
    broken = Scorer(path, logistic.signature)
    with pytest.raises(InputError) as error:
        broken.score(logistic.encoded)
    assert "broken.onnx" in str(error.value) and f"{(expected > 0.5).sum()} of {len(expected)} rows" in str(error.value)
    assert "params.yaml" in error.value.remedy
    high, low = (logistic.rows()[index] for index in (expected.argmax(), expected.argmin()))
    assert 0 <= broken.score_row(low) <= 0.5
    with pytest.raises(InputError, match=r"broken\.onnx"):
        broken.score_row(high)


def test_one_row_and_a_batch_give_the_same(logistic, boosting):
    for model in (logistic, boosting):
        scorer = model.scorer()
        alone = [scorer.score_row(row) for row in model.rows()]
        np.testing.assert_allclose(alone, scorer.score(model.encoded), rtol=0, atol=1e-6)
        assert not any(scorer.check(row) for row in model.rows())


def test_splitting_a_batch_does_not_change_the_scores(logistic, monkeypatch):
    whole = logistic.scorer().score(logistic.encoded)
    monkeypatch.setattr("pipelines.model.scorer.BATCH_ROWS", 37)
    np.testing.assert_array_equal(logistic.scorer().score(logistic.encoded), whole)


def test_no_rows_give_no_scores(scorer, logistic):
    nothing = {name: values[:0] for name, values in logistic.encoded.items()}
    assert scorer.score(nothing).shape == (0,)


def test_a_row_at_the_threshold_is_positive(scorer):
    assert scorer.decide(np.array([0.4999, 0.5, 0.6, math.nan])).tolist() == [False, True, True, False]


# Values that are accepted and rejected.


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", 0),
        ("price", 1000),
        ("price", np.float64(3.5)),
        ("price", np.float32(3.5)),
        ("price", np.int16(3)),
        ("price", np.uint64(3)),
        ("usual_price", math.nan),
        ("usual_price", np.float32("nan")),
        ("usual_price", ""),
        ("usual_price", 3.4e38),
        ("items", 3),
        ("items", 3.0),
        ("items", np.int64(3)),
        ("items", np.float32(3)),
        ("size", np.str_("L")),
        ("shop", None),
        ("shop", ""),
        ("shop", math.nan),
        ("shop", "a shop nobody has heard of: 東京 🏪"),
        ("shop", "NO"),
        ("gift", None),
        ("gift", ""),
        ("gift", math.nan),
        ("gift", False),
        ("gift", np.bool_(True)),
        ("gift", 0),
        ("gift", 1.0),
        ("gift", np.int64(1)),
        ("gift", np.float32(0)),
        ("ordered_at", 0),
        ("ordered_at", -86_401),
        ("ordered_at", 1.5),
        ("ordered_at", np.int32(5)),
        ("ordered_at", np.float32(5)),
        ("ordered_at", 2**40 - 1),
        ("ordered_at", -(2**40) + 1),
        ("ordered_at", dt.date(2026, 1, 1)),
        ("ordered_at", dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))),
        ("ordered_at", dt.datetime.min),
        ("ordered_at", dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=23)))),
        ("ordered_at", dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=23)))),
        ("ordered_at", np.datetime64("1969-12-31T23:59:59.5")),
        ("ordered_at", "2026-01-01"),
        ("ordered_at", "2026-01-01 10:00:00.25+05:30"),
    ],
)
def test_a_value_that_fits_is_scored(scorer, field, value):
    assert reasons(scorer, **{field: value}) == {}
    assert 0 <= scorer.score_row({**GOOD, field: value}) <= 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", None),
        ("price", math.nan),
        ("price", ""),
        ("price", -0.01),
        ("price", 1000.01),
        ("price", math.inf),
        ("price", "12.5"),
        ("price", True),
        ("price", np.True_),
        ("price", 10**400),
        pytest.param("price", -(10**5000), id="price-too-long-to-print"),
        ("price", np.complex64(1)),
        ("price", 1j),
        ("price", decimal.Decimal("sNaN")),
        ("price", []),
        ("price", np.array([1, 2])),
        ("price", np.array([])),
        ("price", {"a": 1}),
        ("price", b"1"),
        ("price", np.timedelta64(5)),
        ("price", np.datetime64("2026-01-01")),
        ("usual_price", math.inf),
        ("usual_price", -math.inf),
        ("usual_price", 1e39),  # infinite in the graph's float32
        ("usual_price", 10**400),
        ("items", 3.5),
        ("items", 0),
        ("items", 51),
        ("items", math.inf),
        ("items", 10**400),
        ("items", False),
        ("items", np.float32(3.5)),
        ("size", "XL"),
        ("size", "s"),
        ("size", 1),
        ("size", b"S"),
        ("size", None),
        ("size", "S\0"),
        ("shop", 1),
        ("shop", True),
        ("shop", ["web"]),
        ("shop", "\ud800"),  # no UTF-8 can hold it
        ("shop", "web\0"),  # the graph would take it for web
        ("gift", 2),
        ("gift", "true"),
        ("gift", 0.5),
        ("gift", math.inf),
        ("gift", 10**400),
        ("ordered_at", None),
        ("ordered_at", ""),
        ("ordered_at", math.nan),
        ("ordered_at", math.inf),
        ("ordered_at", np.datetime64("NaT")),
        ("ordered_at", np.timedelta64(5)),
        ("ordered_at", True),
        ("ordered_at", 2**40),  # milliseconds, most likely
        ("ordered_at", 1_700_000_000_000),
        ("ordered_at", 10**400),
        ("ordered_at", "yesterday"),
        ("ordered_at", "2026-13-01"),
        ("ordered_at", "2026-02-30T00:00:00Z"),
        ("ordered_at", "１９７０-01-01"),
        ("ordered_at", dt.time(1)),
        ("ordered_at", []),
        ("ordered_at", 1j),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_was_expected(scorer, field, value):
    rejections = reasons(scorer, **{field: value})
    assert set(rejections) == {field}
    item = next(item for item in scorer.signature.inputs if item.name == field)
    assert f"expected {item.expects()}" in rejections[field]
    assert len(rejections[field]) < 250


def test_a_float32_is_compared_with_the_range_in_its_own_precision(logistic):
    signature = load_signature(logistic.signature)
    inputs = tuple(dataclasses.replace(i, min=0.01) if i.name == "price" else i for i in signature.inputs)
    scorer = Scorer(logistic.model, dataclasses.replace(signature, inputs=inputs))
    assert float(np.float32(0.01)) < 0.01
    assert not scorer.check({**GOOD, "price": np.float32(0.01)})
    assert scorer.check({**GOOD, "price": np.nextafter(np.float32(0.01), np.float32(0))})
    assert scorer.check({**GOOD, "price": float(np.float32(0.01))})


def test_an_absent_field_is_missing(scorer):
    assert {rejection.field for rejection in scorer.check({})} == {"ordered_at", "price", "items", "size", "region"}


def test_a_sensitive_value_is_never_shown(scorer):
    assert "west" not in reasons(scorer, region="west")["region"]
    assert "'XL'" in reasons(scorer, size="XL")["size"]


class Hostile:
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def test_a_value_that_cannot_be_compared_or_shown_is_rejected(scorer):
    for name in GOOD:
        assert set(reasons(scorer, **{name: Hostile()})) == {name}


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.decimals(),
    st.complex_numbers(),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.integers(-128, 127).map(np.int8),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.integers(-(2**62), 2**62).map(lambda n: np.datetime64(n, "us")),
    st.lists(st.integers(), max_size=2),
    st.lists(st.integers(), max_size=2).map(np.array),
    st.sampled_from(["S", "north", "2026-01-01", "20260101", "2026-W01-1", "2026-01-01T24:00", "1e3", " 1"]),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(GOOD)), SCALARS)
def test_the_check_never_raises_and_an_accepted_row_is_scored(scorer, field, value):
    row = {**GOOD, field: value}
    if not scorer.check(row):
        assert 0 <= scorer.score_row(row) <= 1


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(GOOD)), SCALARS)
def test_an_accepted_value_is_encoded_alike_in_a_column_and_in_a_single_row(scorer, field, value):
    if scorer.check({**GOOD, field: value}):
        return
    raw = {}
    for name, cell in {**GOOD, field: value}.items():
        raw[name] = np.empty(1, dtype=object)
        raw[name][0] = cell
    encoded = {item.name: encode(item, raw[item.name]) for item in scorer.signature.inputs}
    assert scorer.score(encoded)[0] == pytest.approx(scorer.score_row({**GOOD, field: value}), abs=1e-6)


# Times.


def test_times_are_utc_and_fractions_of_a_second_are_rounded_down():
    berlin = dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    midnight = 1_767_225_600
    for same in (
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01T00:00:00.999999Z",
        berlin,
        berlin.replace(tzinfo=None, hour=0),
        dt.date(2026, 1, 1),
        np.datetime64("2026-01-01T00:00:00.999", "ms"),
        midnight,
        midnight + 0.9,
        np.float64(midnight),
    ):
        assert to_epoch(same) == midnight, same
    assert to_epoch(-0.5) == to_epoch("1969-12-31T23:59:59.5Z") == to_epoch(np.datetime64(-1, "ms")) == -1


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_keeps_its_second_at_any_distance_from_1970(moment):
    exact = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(seconds=1)
    assert to_epoch(moment) == to_epoch(moment.astimezone(dt.timezone(moment.utcoffset())).isoformat()) == exact


@pytest.mark.parametrize("value", [None, True, "", "noon", math.nan, math.inf, np.datetime64("NaT"), [], dt.time()])
def test_a_value_that_is_not_a_time_is_a_value_error(value):
    with pytest.raises(ValueError):
        to_epoch(value)


def test_a_column_of_times_is_encoded_from_any_form():
    item = Input("at", "timestamp")
    expected = [-1, 86_400]
    for values in (
        np.array(["1969-12-31T23:59:59.9", "1970-01-02"], dtype="datetime64[ms]"),
        np.array(["1969-12-31T23:59:59.9Z", "1970-01-02"], dtype=object),
        np.array(["1969-12-31T23:59:59.9Z", "1970-01-02"]),
        np.array([-1, 86_400]),
        np.array([-0.1, 86_400.0]),
    ):
        encoded = encode(item, values)
        assert encoded.dtype == np.int64 and encoded.tolist() == expected


def test_a_missing_time_is_refused():
    for values in (np.array(["NaT"], dtype="datetime64[s]"), np.array([np.nan]), np.array([None], dtype=object)):
        with pytest.raises(ValueError, match="time"):
            encode(Input("at", "timestamp"), values)


# Columns.


def test_missing_is_nan_in_a_number_and_the_empty_string_in_a_category():
    raw = np.array([None, math.nan, "", 2], dtype=object)
    np.testing.assert_array_equal(encode(Input("n", "number"), raw), [np.nan, np.nan, np.nan, 2])
    raw = np.array([True, None, False], dtype=object)
    np.testing.assert_array_equal(encode(Input("b", "boolean"), raw), [1, np.nan, 0])
    raw = np.array([None, math.nan, "", "x"], dtype=object)
    assert encode(Input("c", "category"), raw).tolist() == ["", "", "", "x"]
