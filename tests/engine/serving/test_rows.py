"""Reading rows: the parser, the rules of fields and the scorer that judged the model agree."""

import json
import math
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import RequestError
from serving.fields import is_valid
from serving.limits import ROW_BYTES
from serving.model import Model
from serving.rows import RowReader
from serving.times import to_epoch
from tests.engine.serving import samples
from tests.engine.serving.samples import GOOD, is_odd_time

SENT = settings(max_examples=200)


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


def text(**changes):
    return json.dumps({**GOOD, **changes}, ensure_ascii=False).encode()


def expected(rows, row):
    """Return the encoded values of a row whose values are valid, else None."""
    if not isinstance(row, dict) or not row.keys() <= GOOD.keys():
        return None
    if not all(is_valid(field, row.get(field.name)) for field in rows.fields):
        return None
    return [encoded(field, row.get(field.name)) for field in rows.fields]


def encoded(field, value):
    if value is None or value == "":
        return "" if field.is_text else math.nan
    if field.type == "timestamp":
        return to_epoch(value)
    return value if field.is_text else float(value)


def floats(encoded):
    """Return a row with true as 1.0, which the graph accepts as well, and NaN equal to itself."""
    return repr([float(value) if isinstance(value, bool) else value for value in encoded])


def strictly(raw):
    """Return the value of a document, or None if it is not JSON or has a key twice."""

    def once(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    def refuse(constant):
        raise ValueError

    try:
        return json.loads(raw.decode(), object_pairs_hook=once, parse_constant=refuse)
    except ValueError:
        return None


def check(rows, raw):
    """Check that a body is accepted if its values are valid, alone and in a batch."""
    values = expected(rows, strictly(raw))
    if values is None:
        for read in (lambda: rows.read_row(raw), lambda: rows.read_batch(b"[" + raw + b"]")):
            with pytest.raises(RequestError):
                read()
    else:
        assert floats(rows.read_row(raw)) == floats(values)
        count, columns = rows.read_batch(b"[" + raw + b"," + text() + b"," + raw + b"]")
        assert count == 3
        assert [floats(column[i] for column in columns) for i in (0, 2)] == [floats(values)] * 2


@SENT
@given(samples.rows(), st.booleans(), st.sampled_from([None, 1]))
def test_a_row_is_accepted_if_its_values_are_valid(rows, row, escaped, indent):
    check(rows, json.dumps(row, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass"))


@SENT
@given(samples.rows(), st.data())
def test_a_damaged_row_is_accepted_if_its_values_are_valid(rows, row, data):
    raw = bytearray(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([*b'\0\n\t"\\,:{}[]01-+.eE \xff\xc3', 127])
        ).to_bytes(1, "big")
    check(rows, bytes(raw))


@pytest.mark.parametrize(
    "changes",
    [
        {"usual_price": "", "usual_size": "", "gift": "", "shop": ""},
        {"usual_price": 3e38, "usual_size": None, "gift": None, "shop": None},
        {"shop": "caf\u00e9 \U0001f600"},
        {"shop": 'a "b" \\ \\" \n'},
        {"ordered_at": 1_770_000_000.5},
        {"items": 3.0, "gift": 1.0},
    ],
)
def test_valid_values_in_any_form_are_accepted_in_a_body_of_any_size(rows, changes):
    assert len(rows.read_row(text(**changes))) == len(GOOD)
    large = b"[" + text(**changes) + b"," + text().ljust(ROW_BYTES) + b"]"
    assert rows.read_batch(large)[0] == 2


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"price": -1}, 422, "at `$[0].price`"),
        ({"size": "XL"}, 422, "Invalid enum value - at `$[0].size`"),
        ({"x" * 10_000: 1}, 422, "Object contains unknown field `xxx"),
        ({"ordered_at": "noon"}, 422, "row 0: ordered_at expected a time"),
    ],
)
def test_a_large_body_is_refused_for_its_first_invalid_value(rows, changes, status, words):
    raw = b"[" + text(**changes) + b"," + text().ljust(ROW_BYTES) + b"]"
    with pytest.raises(RequestError) as caught:
        rows.read_batch(raw)
    assert caught.value.status == status
    assert words in str(caught.value) and "XL" not in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_large_body_is_not_read_as_objects(rows):
    """Each of a million unknown keys would take more than a hundred bytes."""
    raw = b"[{" + b",".join(b'"%d":0' % i for i in range(200_000)) + b"}]"
    tracemalloc.start()
    with pytest.raises(RequestError, match="unknown field `0`"):
        rows.read_batch(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_rows_beyond_the_allowed_ones_are_counted_without_being_decoded(logistic, tmp_path):
    inputs = [{"name": f"x{i}", "type": "number", "nullable": True} for i in range(50)]
    empty = RowReader(samples.of(samples.document(logistic.signature, inputs=inputs), tmp_path), 10)
    tracemalloc.start()
    with pytest.raises(RequestError, match="100000 rows; a batch may have 10"):
        empty.read_batch(b"[" + b",".join([b"{}"] * 100_000) + b"]")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 100_000  # half of what the rows would take


def test_a_text_may_have_more_braces_than_a_batch_rows(rows):
    assert rows.read_batch(b"[" + text(shop="{" * 200) + b"]")[0] == 1


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


@pytest.mark.parametrize(
    "nested", ["[" * 60_000, '[{"price": ' + "[" * 20_000 + "]" * 20_000 + "}]"], ids=["open", "closed"]
)
def test_a_body_that_is_nested_too_deeply_is_refused_for_that(rows, nested):
    for read in (rows.read_row, rows.read_batch):
        with pytest.raises(RequestError, match="nested too deeply") as caught:
            read(nested.encode())
        assert caught.value.status == 400


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


def test_the_rest_of_a_body_with_a_thousand_errors_is_not_checked(rows):
    with pytest.raises(RequestError, match="and at least 999 more") as caught:
        rows.read_row(json.dumps({f"x{i}": 0 for i in range(2_000)}).encode())
    assert len(caught.value.errors) == 20


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
