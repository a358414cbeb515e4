from __future__ import annotations

from pipelines.review.gates.changed_labels import changed_labels_gate
from pipelines.review.row_changes import Part, RowChanges
from tests.engine.review.made_up import evidence


def changed(count, total=1000, of_test=0):
    parts = (Part("rows in the rarer class", count, total), Part("test rows in the rarer class", of_test, 100))
    (result,) = changed_labels_gate(evidence(row_changes=RowChanges(labels=parts)))
    return result


def test_the_share_of_changed_labels_may_reach_the_limit():
    assert changed(5).passed and not changed(6).passed
    assert changed(6).value == 0.006


def test_the_larger_share_of_all_rows_and_test_rows_counts():
    result = changed(6, 10_000, of_test=6)
    assert not result.passed and "6.00% of its 100 test rows" in result.why


def test_a_few_corrected_labels_of_a_small_table_pass():
    assert changed(4, 40).passed and changed(4, 40).why.endswith("; fewer than 5 never fail")


def test_the_same_rows_pass_and_rows_that_are_not_known_are_not_evaluated():
    (same,) = changed_labels_gate(evidence(row_changes=RowChanges()))
    assert same.passed and same.blocks
    (unknown,) = changed_labels_gate(evidence(row_changes=RowChanges(why_not="not in the cache")))
    assert unknown.state == "not evaluated" and "not in the cache" in unknown.why
    assert list(changed_labels_gate(evidence())) == []
