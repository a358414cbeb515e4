"""New, removed and changed features, by two texts of params.yaml and the rows of both sides."""

import ibis
import pytest
import yaml

from pipelines.review.feature_changes import feature_changes
from pipelines.review.findings import FeatureChanges

PRICE, DAY, WEEK = {"type": "number"}, {"type": "integer", "prepared": True}, {"type": "integer", "prepared": True}
LOG = {"op": "log1p", "of": "price"}


def text(use, columns=None, **derive):
    names = {"price": PRICE, "day": DAY, "week": WEEK} | (columns or {})
    return yaml.safe_dump({"schema": {"columns": names}, "features": {"use": use, "derive": derive}})


def rows(**columns):
    return ibis.memtable({"key": [f"k{i}" for i in range(len(next(iter(columns.values()))))], **columns})


ROWS = rows(day=[1, 2, 3], week=[4, 5, None])


def changes(base, head, before=None, table=ROWS):
    return feature_changes(base, head, "key", table, before)


def test_equal_features_have_no_change():
    assert changes(text(["price", "day"], log=LOG), text(["day", "price"], log=LOG)) is None


def test_new_removed_and_changed_features_are_named():
    found = changes(
        text(["price", "week"], size=LOG, log=LOG),
        text(["price", "day"], {"price": {"type": "number", "prepared": True}}, log=LOG | {"op": "sqrt"}, age=LOG),
    )
    assert (sorted(found.new), sorted(found.gone)) == (["age", "day"], ["size", "week"])
    assert dict(found.changed) == {
        "log": "of: price, op: log1p → of: price, op: sqrt",
        "price": "a column of data/ → made by features/prepare.py",
    }


def test_other_values_of_a_prepared_feature_are_counted_in_the_rows_of_both():
    both = text(["day", "week"])
    assert changes(both, both, ROWS) is None
    before = rows(day=[1, 9, 3, 7], week=[4, 5, 6, 8])
    assert changes(both, both, before) == FeatureChanges(
        changed=(("day", "other values in 1 of 3 rows of both"), ("week", "other values in 1 of 3 rows of both"))
    )
    assert changes(both, both, rows(day=["1", "2", "3"], week=[4, 5, None])) is None
    assert changes(both, both, rows(week=[4, 5, None])) is None
    assert changes(both, both, ibis.memtable({"day": [7]})) is None


@pytest.mark.parametrize("base", [None, "", "a: [", "features: 1", "schema: {columns: {}}\nfeatures: {use: [x]}"])
def test_a_base_without_known_features_has_no_changes(base):
    assert changes(base, text(["day"])) is None
