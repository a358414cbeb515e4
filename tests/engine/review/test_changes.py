import json
import math

import ibis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.files import write_json
from pipelines.model.inputs import inputs_of
from pipelines.review.changes import data_change, param_changes, stability_index
from pipelines.review.findings import ParamChange
from pipelines.training.profile import profile


def test_each_value_that_differs_is_named_by_its_path_with_both_values():
    base = "a: 1\nb: {c: [1, 2], d: x}\ngone: true\n"
    head = "a: 2\nb: {c: [1, 3], d: x}\nnew: {e: null}\n"
    assert param_changes(base, head) == (
        ParamChange("a", "1", "2"),
        ParamChange("b.c", "[1, 2]", "[1, 3]"),
        ParamChange("gone", "true", None),
        ParamChange("new.e", None, "null"),
    )


def test_texts_with_equal_values_have_no_change():
    assert param_changes("a: 1\nb: {c: 2, d: 3}\n", "b: {d: 3, c: 2}  # a comment\na: 1\n") == ()


@pytest.mark.parametrize("base", [None, "", "a: [", "\x00", "day: 2026-99-99"])
def test_a_base_without_a_readable_file_has_no_value_on_its_side(base):
    changes = param_changes(base, "a: 1\n")
    assert [(change.path, change.head) for change in changes if change.path == "a"] == [("a", "1")]
    assert all(change.base is None for change in changes if change.path == "a")


def test_a_long_value_is_shortened_but_still_compared_whole():
    words = [f"value{i}" for i in range(40)]
    (change,) = param_changes(json.dumps({"a": words}), json.dumps({"a": [*words, "one more"]}))
    assert change.base.endswith('"value39"]') and change.head.endswith('"value39", "one more"]')
    assert len(change.head) <= 82
    (change,) = param_changes(json.dumps({"a": ["first", *words]}), json.dumps({"a": ["other", *words]}))
    assert change.base.startswith('["first", "value0"') and change.base.endswith("…")


COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1).filter(lambda c: sum(c.values()))


@given(COUNTS, COUNTS)
def test_the_stability_index_is_never_negative_and_the_same_both_ways(base, head):
    assert stability_index(base, head) == pytest.approx(stability_index(head, base))
    if min(sum(base.values()), sum(head.values())) >= 1000:
        assert stability_index(base, head) >= -0.01  # half a row for an empty bin


def test_the_stability_index_of_a_textbook_shift():
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    expected = 0.1 * math.log(1.2) - 0.1 * math.log(0.8)
    assert stability_index({"a": 50, "b": 50}, {"a": 600, "b": 400}) == pytest.approx(expected)
    assert math.isnan(stability_index({}, {"a": 1}))


@pytest.fixture(scope="module")
def base(logistic, tmp_path_factory):
    """Profile and inputs of a base, and its training rows."""
    rows = {name: values.tolist() for name, values in logistic.raw.items()}
    path = tmp_path_factory.mktemp("base") / "profile.json"
    write_json(path, profile(ibis.memtable(rows), inputs_of(logistic.params)))
    return path, inputs_of(logistic.params), rows


def test_the_same_rows_have_not_shifted(base):
    path, inputs, rows = base
    change = data_change(ibis.memtable(rows), path, inputs)
    assert (change.rows_base, change.rows_head, change.removed_columns) == (400, 400, ())
    assert {name for name, _ in change.shift} == set(rows)
    assert all(value == pytest.approx(0, abs=1e-9) for _, value in change.shift)


def test_the_column_that_shifted_most_comes_first(base):
    path, inputs, rows = base
    dearer = {**rows, "price": [value * 3 for value in rows["price"]]}
    change = data_change(ibis.memtable({name: values[:300] for name, values in dearer.items()}), path, inputs)
    assert (change.rows_base, change.rows_head) == (400, 300)
    assert change.shift[0][0] == "price" and change.shift[0][1] > 0.2


def test_a_removed_column_is_named_and_one_of_another_type_has_no_shift(base):
    path, inputs, rows = base
    other = {name: values for name, values in rows.items() if name != "shop"}
    other |= {"price": [f"{value:.0f} euros" for value in rows["price"]], "size": np.arange(400).tolist()}
    other["ordered_at"] = ["yesterday"] * 400
    change = data_change(ibis.memtable(other), path, inputs)
    assert change.removed_columns == ("shop",)
    assert not {"price", "size", "ordered_at", "shop"} & {name for name, _ in change.shift}


def test_without_a_profile_only_rows_and_columns_are_compared(base):
    _, inputs, rows = base
    change = data_change(ibis.memtable(rows), None, inputs)
    assert (change.rows_base, change.rows_head, change.shift) == (None, 400, ())
