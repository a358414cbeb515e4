"""Reading rows: the fast path, the slow path, and the scorer that judged the model agree."""

import json
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import rows as serving_rows
from serving import strict_json
from serving.errors import RequestError
from serving.model import Model
from serving.responses import FieldError
from serving.rows import RowReader
from tests.engine.serving import samples
from tests.engine.serving.samples import GOOD, is_odd_time

SENT = settings(max_examples=200, deadline=None)


@pytest.fixture(scope="module", params=["logistic", "boosting", "regression"])
def built(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def model(built):
    return Model(built.model.parent)


@pytest.fixture(scope="module")
def scorer(built):
    return built.scorer()


@pytest.fixture(scope="module")
def rows(logistic):
    return RowReader(Model(logistic.model.parent).signature, 100)


@pytest.fixture
def fast(rows, monkeypatch):
    """A reader without the slow path."""

    def refuse(raw):
        raise AssertionError(f"{raw!r} took the slow path")

    monkeypatch.setattr(strict_json, "loads", refuse)
    return rows


def text(**changes):
    return json.dumps({**GOOD, **changes}, ensure_ascii=False).encode()


def outcome(read, *arguments):
    """Return what is read, so that NaN equals itself and 1 does not equal "1"; or the error."""
    try:
        return repr(read(*arguments))
    except RequestError as error:
        return error.status, str(error), error.errors


def floats(encoded):
    """Return a row with true as 1.0; the graph accepts both."""
    return [float(value) if isinstance(value, bool) else value for value in encoded]


@SENT
@given(samples.rows(), st.booleans(), st.sampled_from([None, 1]))
def test_a_row_is_read_equally_by_both_paths(rows, row, escaped, indent):
    raw = json.dumps(row, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass")

    def slow():
        return rows._read_row_slowly(strict_json.loads(raw))

    assert outcome(lambda: floats(rows.read_row(raw))) == outcome(slow)


@SENT
@given(st.lists(samples.rows() | st.just(GOOD), max_size=3), st.booleans())
def test_a_batch_is_read_equally_by_both_paths(rows, batch, escaped):
    raw = json.dumps(batch, ensure_ascii=escaped).encode("utf-8", "surrogatepass")

    def listed(read):
        return lambda: [floats(column) for column in read()[1]]

    def slow():
        return rows._read_batch_slowly(strict_json.loads(raw))

    assert outcome(listed(lambda: rows.read_batch(raw))) == outcome(listed(slow))


@SENT
@given(samples.rows(), st.data())
def test_a_damaged_row_is_read_equally_by_both_paths(rows, row, data):
    raw = bytearray(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([*b'\0\n\t"\\,:{}[]01-+.eE \xff\xc3', 127])
        ).to_bytes(1, "big")

    def slow():
        return rows._read_row_slowly(strict_json.loads(bytes(raw)))

    assert outcome(lambda: floats(rows.read_row(bytes(raw)))) == outcome(slow)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"price": 12},
        {"usual_price": 3e38, "usual_size": None, "gift": None, "shop": None},
        {"shop": "café \U0001f600"},
        {"ordered_at": 1_770_000_000},
        {"ordered_at": 1_770_000_000.5},
        {"items": 3.0},
    ],
)
def test_a_usual_row_takes_the_fast_path(fast, changes):
    assert len(fast.read_row(text(**changes))) == len(GOOD)
    assert fast.read_batch(b"[" + text(**changes) + b"," + text() + b"]")[0] == 2


def test_a_row_with_absent_fields_takes_the_fast_path(fast):
    few = json.dumps({name: GOOD[name] for name in ("ordered_at", "price", "items", "size", "region")}).encode()
    row = fast.read_row(few)
    assert [repr(value) for value in row].count("nan") == 2 and row.count("") == 2
    _, columns = fast.read_batch(b"[" + few + b"," + text() + b"]")
    assert repr([column[0] for column in columns]) == repr(row)


@SENT
@given(samples.rows())
def test_the_same_rows_are_valid_as_in_the_scorer_and_get_the_same_scores(model, scorer, row):
    raw = json.dumps(row).encode()
    known = row.keys() <= GOOD.keys()
    try:
        encoded = RowReader(model.signature, 100).read_row(raw)
    except RequestError as error:
        named = {item.field for item in error.errors} & GOOD.keys()
        invalid = {item.field for item in scorer.check(row)}
        if is_odd_time(row.get("ordered_at")):
            invalid.add("ordered_at")
        assert error.status == 422 and named == invalid
        assert named or not known
        return
    assert known and not scorer.check(row)
    expected = scorer.score_row(row)
    assert model.score_row(encoded) == expected
    assert model.score([(value,) for value in encoded])[0] == expected


def test_a_batch_has_the_scores_of_its_rows(model, scorer, built):
    batch = [{**row, "ordered_at": row["ordered_at"].isoformat()} for row in built.rows()]
    batch = [{name: None if value != value else value for name, value in row.items()} for row in batch]
    count, columns = RowReader(model.signature, len(batch)).read_batch(json.dumps(batch).encode())
    assert count == len(batch)
    expected = [scorer.score_row(row) for row in batch]
    # A batch is summed in another order than a row.
    assert model.score(columns).tolist() == pytest.approx(expected, abs=1e-6, rel=1e-5)


@pytest.mark.parametrize(
    "raw",
    [
        text()[:-1] + b', "price": 12.5}',
        text()[:-1] + b', "usual_price": null}',
        b'{"gift": false, ' + text()[1:],
        text()[:-1] + b', "pric\\u0065": 12.5}',
    ],
)
def test_a_key_twice_is_refused(rows, raw):
    for read in (lambda: rows.read_row(raw), lambda: rows.read_batch(b"[" + text() + b"," + raw + b"]")):
        with pytest.raises(RequestError, match="a key twice") as caught:
            read()
        assert caught.value.status == 400


def test_a_key_twice_is_refused_even_if_other_fields_are_absent(rows):
    row = {name: value for name, value in GOOD.items() if name not in ("gift", "shop")}
    raw = json.dumps(row).encode()[:-1] + b', "usual_price": 1}'
    with pytest.raises(RequestError, match="a key twice"):
        rows.read_row(raw)
    with pytest.raises(RequestError, match="a key twice"):
        rows.read_batch(b"[" + raw + b"]")


@pytest.mark.parametrize("raw", [text(shop="a\nb").replace(b"\\n", b"\n"), text(shop="a\tb").replace(b"\\t", b"\t")])
def test_an_unescaped_control_character_is_refused(rows, raw):
    for read in (lambda: rows.read_row(raw), lambda: rows.read_batch(b"[" + raw + b"]")):
        with pytest.raises(RequestError, match="control character"):
            read()


def test_each_invalid_field_is_named(rows):
    with pytest.raises(RequestError) as caught:
        rows.read_row(text(price=-1, items=0.5, colour="red"))
    assert caught.value.status == 422
    assert [error.field for error in caught.value.errors] == ["price", "items", "colour"]
    assert "price expected a number from 0 to 1000 (got '-1') (and 2 more)" in str(caught.value)


def test_invalid_rows_of_a_batch_are_named_by_their_number(rows):
    with pytest.raises(RequestError) as caught:
        rows.read_batch(b"[" + text() + b"," + text(price=-1) + b"," + text(size="XL") + b"]")
    assert [(error.row, error.field) for error in caught.value.errors] == [(1, "price"), (2, "size")]
    assert str(caught.value).startswith("row 1: price ")


def test_at_most_twenty_errors_are_listed(rows):
    with pytest.raises(RequestError, match="and 89 more") as caught:
        rows.read_batch(json.dumps([{**GOOD, "price": -1}] * 90).encode())
    assert len(caught.value.errors) == 20


def test_all_errors_are_counted(rows):
    unknown = {f"x{i}": 0 for i in range(30)}
    with pytest.raises(RequestError, match=r"price .* \(and 30 more\)") as caught:
        rows.read_row(json.dumps({**GOOD, "price": -1, **unknown}).encode())
    assert [error.field for error in caught.value.errors] == ["price", *(f"x{i}" for i in range(19))]
    with pytest.raises(RequestError, match="and 92 more") as caught:
        rows.read_batch(json.dumps([{**GOOD, "price": -1, **unknown}] * 3).encode())
    assert [error.row for error in caught.value.errors] == [0] * 20


@pytest.mark.parametrize("values", [{}, {"price": -1}])
def test_only_the_listed_errors_are_explained(rows, monkeypatch, values):
    """A client may send a million unknown names."""
    explain = Mock(return_value=FieldError("price", "is invalid"))
    monkeypatch.setattr(serving_rows, "explain", explain)
    unknown = {f"x{i}": 0 for i in range(1_000)}
    with pytest.raises(RequestError, match="more"):
        rows.read_batch(json.dumps([{**GOOD, **values, **unknown}] * 90).encode())
    assert explain.call_count == 20


def test_no_error_contains_a_sensitive_value(rows):
    for changes in ({"region": "west-of-here"}, {"region": ["west-of-here"]}):
        with pytest.raises(RequestError) as caught:
            rows.read_row(text(**changes))
        assert "west-of-here" not in f"{caught.value} {caught.value.errors}"


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"a"', b"[{}]"])
def test_a_body_that_is_not_an_object_is_refused(rows, raw):
    with pytest.raises(RequestError, match="the body must be an object") as caught:
        rows.read_row(raw)
    assert caught.value.status == 422


def test_a_batch_that_is_not_an_array_of_objects_is_refused(rows):
    with pytest.raises(RequestError, match="must be an array"):
        rows.read_batch(text())
    with pytest.raises(RequestError, match="row 1 must be an object"):
        rows.read_batch(b"[" + text() + b", 1]")


def test_a_batch_has_at_most_the_allowed_rows(rows):
    assert rows.read_batch(b"[]") == (0, [])
    full = [GOOD] * 100
    assert rows.read_batch(json.dumps(full).encode())[0] == 100
    for extra in (GOOD, {"price": -1}):  # for either path
        with pytest.raises(RequestError, match="101 rows; a batch may have 100") as caught:
            rows.read_batch(json.dumps([*full, extra]).encode())
        assert caught.value.status == 422


@pytest.mark.parametrize("raw", [b'{"shop": ""}', b'{"shop": null}'])
def test_an_empty_text_is_missing(logistic, tmp_path, raw):
    def shops(nullable):
        inputs = [{"name": "shop", "type": "category", "nullable": nullable}]
        return RowReader(samples.of(samples.document(logistic.signature, inputs=inputs), tmp_path), 10)

    taken, refusing = shops(True), shops(False)
    assert taken.read_row(raw) == [""]
    assert [list(column) for column in taken.read_batch(b"[" + raw + b"]")[1]] == [[""]]
    for read in (lambda: refusing.read_row(raw), lambda: refusing.read_batch(b"[" + raw + b"]")):
        with pytest.raises(RequestError, match="shop is missing"):
            read()


def test_names_of_any_script_are_read(logistic, tmp_path):
    inputs = [{"name": name, "type": "number", "nullable": False} for name in ("größe", "a b", "f1", "it's")]
    odd = RowReader(samples.of(samples.document(logistic.signature, inputs=inputs), tmp_path), 10)
    row = {item["name"]: 1.5 for item in inputs}
    for escaped in (True, False):
        raw = json.dumps(row, ensure_ascii=escaped).encode()
        assert odd.read_row(raw) == [1.5] * 4
        assert odd.read_batch(b"[" + raw + b"]") == (1, [(1.5,)] * 4)
