"""The rows of the prediction log."""

import hmac

import pytest

from serving.signature import load
from tests.engine.serving import samples
from tests.engine.serving.logs import NEW_YEAR, encoded, logged
from tests.engine.serving.samples import GOOD


@pytest.fixture(scope="module")
def signature(logistic):
    return load(logistic.signature)


def test_a_row_has_request_release_inputs_prediction_and_latency(signature):
    (row,) = logged(signature, GOOD, time=NEW_YEAR + 0.25, name="abc", key_name="team-a")
    assert row.pop("region") == hmac.digest(b"pepper", b"north", "sha256").hex()
    assert row == {
        "time": NEW_YEAR + 0.25,
        "ordered_at": 1_770_091_506,
        "request_id": "abc-0",
        "release": "0123456789ab",
        "role": "champion",
        "key_name": "team-a",
        "price": 12.5,
        "usual_price": None,
        "items": 3,
        "size": "S",
        "usual_size": "M",
        "shop": "web",
        "gift": True,
        "probability": 0.75,
        "decision": True,
        "latency_ms": 1.5,
    }


def test_missing_values_are_null(signature):
    empty = {**GOOD, "shop": "", "usual_size": None}
    del empty["gift"]
    row = logged(signature, empty)[0]
    missing = {"usual_price", "usual_size", "shop", "gift", "key_name"}
    assert {name for name, value in row.items() if value is None} == missing


def test_the_decision_is_true_from_the_threshold_on(signature):
    assert signature.threshold == 0.5
    for score, decision in ((0.5, True), (0.4999999, False)):
        assert logged(signature, GOOD, score=score)[0]["decision"] is decision


def test_rows_have_the_values_of_their_request(signature):
    rows = logged(signature, GOOD, {**GOOD, "price": 1}, name="a", score=0.1)
    assert [(row["request_id"], row["price"], row["probability"], row["latency_ms"]) for row in rows] == [
        ("a-0", 12.5, 0.1, 1.5),
        ("a-1", 1.0, 0.1, 1.5),
    ]


def test_a_text_of_several_lines_is_one_line(signature):
    text = 'two\nlines, "quoted"\u2028'
    assert encoded(signature, {**GOOD, "shop": text}).count(b"\n") == 1
    assert logged(signature, {**GOOD, "shop": text})[0]["shop"] == text


def test_a_regression_has_a_value_and_no_decision(regression):
    signature = load(regression.signature)
    (row,) = logged(signature, GOOD, score=-12.5)
    assert row["value"] == -12.5
    assert not {"probability", "decision"} & row.keys()


def test_an_input_with_the_name_of_a_log_column_is_renamed(signature, tmp_path):
    names = ["time", "input_time", "role", "key_name", "price"]
    inputs = [{"name": name, "type": "number", "nullable": True} for name in names]
    changed = samples.of({**signature.document, "inputs": inputs}, tmp_path)
    (row,) = logged(changed, {name: i for i, name in enumerate(names)})
    reserved = {"time", "request_id", "release", "role", "key_name", "probability", "decision", "latency_ms"}
    assert len(row) == len(reserved) + len(names)
    assert row["input_role"] == 2.0 and row["price"] == 4.0 and row["role"] == "champion"
    assert row["input_time"] == 1.0 and row["input_input_time"] == 0.0


def test_integers_are_logged_as_integers_if_a_double_represents_their_range(signature, tmp_path):
    inputs = [
        {"name": "small", "type": "integer", "min": 0, "max": 2**53},
        {"name": "open", "type": "integer", "min": 0},
    ]
    changed = samples.of({**signature.document, "inputs": inputs}, tmp_path)
    (row,) = logged(changed, {"small": 2**53, "open": 5})
    assert repr((row["small"], row["open"])) == repr((2**53, 5.0))


@pytest.fixture
def hashed(signature, tmp_path):
    """Return a function from values of a sensitive input to what is logged for them."""

    def hashes(*values, **field):
        inputs = [{"name": "secret", "nullable": True, "sensitive": True, **field}]
        changed = samples.of({**signature.document, "inputs": inputs}, tmp_path)
        return [row["secret"] for row in logged(changed, *({"secret": value} for value in values))]

    return hashes


def test_a_sensitive_input_is_hashed_with_the_salt_or_the_model_name(signature):
    north, south, again = (row["region"] for row in logged(signature, GOOD, {**GOOD, "region": "south"}, GOOD))
    assert north == again != south
    salted = logged(signature, GOOD, salt="salt")[0]["region"]
    unsalted = logged(signature, GOOD, salt=None)[0]["region"]
    assert len({north, south, salted, unsalted}) == 4
    assert unsalted == hmac.digest(b"orders", b"north", "sha256").hex()


def test_no_line_contains_a_sensitive_value(signature):
    assert b"north" not in encoded(signature, GOOD)


@pytest.mark.parametrize("kind", ["number", "integer", "boolean", "category"])
def test_a_missing_sensitive_value_is_null(hashed, kind):
    assert hashed(None, type=kind) == hashed("", type=kind) == [None]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [1, 1.0, 10e-1]),
        ("number", [0, 0.0, -0.0]),
        ("integer", [-0.0, 0]),
        ("boolean", [True, 1, 1.0]),
        ("timestamp", ["2026-01-01", NEW_YEAR, "2026-01-01T01:00+01:00"]),
    ],
)
def test_equal_values_have_equal_hashes(hashed, kind, values):
    nullable = kind != "timestamp"
    hashes = [hashed(value, type=kind, nullable=nullable) for value in values]
    assert hashes[0] != [None] and hashes == [hashes[0]] * len(values)
