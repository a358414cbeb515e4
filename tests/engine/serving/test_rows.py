"""From a request's bytes to what the graph takes: the fast way, the slow way, and the scorer that judged the model."""

import json
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import rows as rows_of
from serving import strict_json
from serving.errors import Fault, RefusedError
from serving.model import Model
from serving.rows import Rows
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
    return Rows(Model(logistic.model.parent).signature, 100)


@pytest.fixture
def fast(rows, monkeypatch):
    """A reader that has the fast way only."""

    def refuse(raw):
        raise AssertionError(f"{raw!r} went the slow way")

    monkeypatch.setattr(strict_json, "loads", refuse)
    return rows


def text(**changes):
    return json.dumps({**GOOD, **changes}, ensure_ascii=False).encode()


def outcome(read, *arguments):
    """What is read, in a form in which NaN equals itself and 1 does not equal "1"; or the refusal."""
    try:
        return repr(read(*arguments))
    except RefusedError as refused:
        return refused.status, str(refused), refused.faults


def floats(encoded):
    """A row with true as 1.0, as the graph takes either."""
    return [float(value) if isinstance(value, bool) else value for value in encoded]


# The two ways agree.


@SENT
@given(samples.rows(), st.booleans(), st.sampled_from([None, 1]))
def test_one_row_is_the_same_by_either_way(rows, row, escaped, indent):
    raw = json.dumps(row, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass")

    def slow():
        return rows._slow_one(strict_json.loads(raw))

    assert outcome(lambda: floats(rows.one(raw))) == outcome(slow)


@SENT
@given(st.lists(samples.rows() | st.just(GOOD), max_size=3), st.booleans())
def test_a_batch_is_the_same_by_either_way(rows, batch, escaped):
    raw = json.dumps(batch, ensure_ascii=escaped).encode("utf-8", "surrogatepass")

    def listed(read):
        return lambda: [floats(column) for column in read()[1]]

    assert outcome(listed(lambda: rows.many(raw))) == outcome(listed(lambda: rows._slow_many(strict_json.loads(raw))))


@SENT
@given(samples.rows(), st.data())
def test_damaged_bytes_are_the_same_by_either_way(rows, row, data):
    raw = bytearray(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([*b'\0\n\t"\\,:{}[]01-+.eE \xff\xc3', 127])
        ).to_bytes(1, "big")

    def slow():
        return rows._slow_one(strict_json.loads(bytes(raw)))

    assert outcome(lambda: floats(rows.one(bytes(raw)))) == outcome(slow)


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
def test_a_usual_row_goes_the_fast_way(fast, changes):
    assert len(fast.one(text(**changes))) == len(GOOD)
    assert fast.many(b"[" + text(**changes) + b"," + text() + b"]")[0] == 2


def test_what_is_absent_goes_the_fast_way(fast):
    few = json.dumps({name: GOOD[name] for name in ("ordered_at", "price", "items", "size", "region")}).encode()
    alone = fast.one(few)
    assert [repr(value) for value in alone].count("nan") == 2 and alone.count("") == 2
    _, columns = fast.many(b"[" + few + b"," + text() + b"]")
    assert repr([column[0] for column in columns]) == repr(alone)


# What is read is scored as the scorer that judged the model scores it.


@SENT
@given(samples.rows())
def test_any_row_that_is_accepted_scores_as_in_the_scorer_and_no_other_is(model, scorer, row):
    raw = json.dumps(row).encode()
    known = row.keys() <= GOOD.keys()
    try:
        encoded = Rows(model.signature, 100).one(raw)
    except RefusedError as refused:
        named = {found.field for found in refused.faults} & GOOD.keys()
        unfit = {found.field for found in scorer.check(row)}
        if is_odd_time(row.get("ordered_at")):
            unfit.add("ordered_at")
        assert refused.status == 422 and named == unfit
        assert named or not known
        return
    assert known and not scorer.check(row)
    expected = scorer.score_row(row)
    assert model.score_row(encoded) == expected
    assert model.score([(value,) for value in encoded])[0] == expected


def test_a_batch_scores_as_its_rows_do(model, scorer, built):
    batch = [{**row, "ordered_at": row["ordered_at"].isoformat()} for row in built.rows()]
    batch = [{name: None if value != value else value for name, value in row.items()} for row in batch]
    count, columns = Rows(model.signature, len(batch)).many(json.dumps(batch).encode())
    assert count == len(batch)
    alone = [scorer.score_row(row) for row in batch]
    # A batch is summed in another order than a row.
    assert model.score(columns).tolist() == pytest.approx(alone, abs=1e-6, rel=1e-5)


# What is refused, and how.


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
    for read in (lambda: rows.one(raw), lambda: rows.many(b"[" + text() + b"," + raw + b"]")):
        with pytest.raises(RefusedError, match="a key twice") as refused:
            read()
        assert refused.value.status == 400


def test_a_key_twice_is_not_made_up_for_by_another_that_is_absent(rows):
    row = {name: value for name, value in GOOD.items() if name not in ("gift", "shop")}
    raw = json.dumps(row).encode()[:-1] + b', "usual_price": 1}'
    with pytest.raises(RefusedError, match="a key twice"):
        rows.one(raw)
    with pytest.raises(RefusedError, match="a key twice"):
        rows.many(b"[" + raw + b"]")


@pytest.mark.parametrize("raw", [text(shop="a\nb").replace(b"\\n", b"\n"), text(shop="a\tb").replace(b"\\t", b"\t")])
def test_a_control_character_as_it_is_is_not_json(rows, raw):
    for read in (lambda: rows.one(raw), lambda: rows.many(b"[" + raw + b"]")):
        with pytest.raises(RefusedError, match="control character"):
            read()


def test_each_field_at_fault_is_named(rows):
    with pytest.raises(RefusedError) as refused:
        rows.one(text(price=-1, items=0.5, colour="red"))
    assert refused.value.status == 422
    assert [found.field for found in refused.value.faults] == ["price", "items", "colour"]
    assert "price expected a number from 0 to 1000 (got '-1') (and 2 more)" in str(refused.value)


def test_a_batch_names_the_row_and_is_refused_whole(rows):
    with pytest.raises(RefusedError) as refused:
        rows.many(b"[" + text() + b"," + text(price=-1) + b"," + text(size="XL") + b"]")
    assert [(found.row, found.field) for found in refused.value.faults] == [(1, "price"), (2, "size")]
    assert str(refused.value).startswith("row 1: price ")


def test_an_answer_names_twenty_faults_at_most(rows):
    with pytest.raises(RefusedError, match="and 89 more") as refused:
        rows.many(json.dumps([{**GOOD, "price": -1}] * 90).encode())
    assert len(refused.value.faults) == 20


def test_twenty_faults_are_named_and_all_are_counted(rows):
    unknown = {f"x{i}": 0 for i in range(30)}
    with pytest.raises(RefusedError, match=r"price .* \(and 30 more\)") as refused:
        rows.one(json.dumps({**GOOD, "price": -1, **unknown}).encode())
    assert [found.field for found in refused.value.faults] == ["price", *(f"x{i}" for i in range(19))]
    with pytest.raises(RefusedError, match="and 92 more") as refused:
        rows.many(json.dumps([{**GOOD, "price": -1, **unknown}] * 3).encode())
    assert [found.row for found in refused.value.faults] == [0] * 20


@pytest.mark.parametrize("values", [{}, {"price": -1}])
def test_a_refusal_is_made_of_the_faults_that_it_names_alone(rows, monkeypatch, values):
    """However many there are: who sends a million unknown names does not get a million reasons made."""
    shown, fault = Mock(return_value="'name'"), Mock(return_value=Fault("price", "is wrong"))
    monkeypatch.setattr(rows_of, "shown", shown)
    monkeypatch.setattr(rows_of, "fault", fault)
    unknown = {f"x{i}": 0 for i in range(1_000)}
    with pytest.raises(RefusedError, match="more"):
        rows.many(json.dumps([{**GOOD, **values, **unknown}] * 90).encode())
    assert shown.call_count + fault.call_count == 20


def test_a_sensitive_value_is_in_no_refusal(rows):
    for changes in ({"region": "west-of-here"}, {"region": ["west-of-here"]}):
        with pytest.raises(RefusedError) as refused:
            rows.one(text(**changes))
        assert "west-of-here" not in f"{refused.value} {refused.value.faults}"


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"a"', b"[{}]"])
def test_a_body_of_another_shape_is_told_so(rows, raw):
    with pytest.raises(RefusedError, match="the body must be an object") as refused:
        rows.one(raw)
    assert refused.value.status == 422


def test_a_batch_of_another_shape_is_told_so(rows):
    with pytest.raises(RefusedError, match="must be an array"):
        rows.many(text())
    with pytest.raises(RefusedError, match="row 1 must be an object"):
        rows.many(b"[" + text() + b", 1]")


def test_a_batch_may_be_empty_and_has_a_limit(rows):
    assert rows.many(b"[]") == (0, [])
    full = [GOOD] * 100
    assert rows.many(json.dumps(full).encode())[0] == 100
    for extra in (GOOD, {"price": -1}):  # by either way
        with pytest.raises(RefusedError, match="101 rows; at most 100") as refused:
            rows.many(json.dumps([*full, extra]).encode())
        assert refused.value.status == 422


@pytest.mark.parametrize("raw", [b'{"shop": ""}', b'{"shop": null}'])
def test_an_empty_text_is_missing(logistic, tmp_path, raw):
    def shops(nullable):
        inputs = [{"name": "shop", "type": "category", "nullable": nullable}]
        return Rows(samples.of(samples.document(logistic.signature, inputs=inputs), tmp_path), 10)

    taken, refusing = shops(True), shops(False)
    assert taken.one(raw) == [""]
    assert [list(column) for column in taken.many(b"[" + raw + b"]")[1]] == [[""]]
    for read in (lambda: refusing.one(raw), lambda: refusing.many(b"[" + raw + b"]")):
        with pytest.raises(RefusedError, match="shop is missing"):
            read()


def test_names_of_any_script_are_read(logistic, tmp_path):
    inputs = [{"name": name, "type": "number", "nullable": False} for name in ("größe", "a b", "f1", "it's")]
    odd = Rows(samples.of(samples.document(logistic.signature, inputs=inputs), tmp_path), 10)
    row = {item["name"]: 1.5 for item in inputs}
    for escaped in (True, False):
        raw = json.dumps(row, ensure_ascii=escaped).encode()
        assert odd.one(raw) == [1.5] * 4
        assert odd.many(b"[" + raw + b"]") == (1, [(1.5,)] * 4)
