import pytest

from pipelines.review.gates.rows import changed_labels_gate, lost_rows_gate, repeated_rows_gate
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


def lost(*parts):
    return [result.passed for result in lost_rows_gate(evidence(row_changes=RowChanges(lost=parts)))]


def test_the_share_of_lost_rows_may_reach_the_limit():
    assert lost(Part("rows", 5, 1000), Part("test rows", 6, 1000)) == [True, False]


def test_a_share_of_the_loss_fails_only_beyond_what_chance_gives():
    assert lost(Part("loss", 8.0, 100.0, by_chance=0.09), Part("loss", 8.0, 100.0, by_chance=0.04)) == [True, False]


def judge(count, total, in_training=0.0):
    part = Part("new test rows equal a training row", count, total, in_training)
    (result,) = repeated_rows_gate(evidence(row_changes=RowChanges(repeated=(part,))))
    return result


def repeated(count, total, in_training=0.0):
    return judge(count, total, in_training).passed


def test_copies_fail_and_as_many_repeats_as_the_training_rows_show_pass():
    assert not repeated(226, 226) and not repeated(226, 52_000)
    assert repeated(90, 226, in_training=0.4) and not repeated(226, 226, in_training=0.4)
    assert repeated(226, 226, in_training=0.5)  # in a table of so few columns a copy says nothing new
    assert repeated(4, 4) and repeated(76, 52_000) and not repeated(77, 52_000)  # 52 are expected at most


def test_the_reason_names_the_limit_that_was_used_and_why_a_larger_share_passes():
    assert judge(226, 52_000).why.endswith("(0.43%); gates.max_repeated_rows is 0.10%")
    assert "up to 80.00% are expected, twice the share of training rows" in judge(90, 226, 0.4).why
    assert judge(4, 4).why.endswith("; fewer than 5 never fail")
    assert judge(60, 52_000).why.endswith("; the excess may be chance")


@pytest.mark.parametrize("gate", [changed_labels_gate, lost_rows_gate, repeated_rows_gate])
def test_the_same_rows_pass(gate):
    (same,) = gate(evidence())
    assert same.passed and same.blocks


@pytest.mark.parametrize("gate", [changed_labels_gate, lost_rows_gate])
def test_rows_that_are_not_known_are_not_evaluated(gate):
    (unknown,) = gate(evidence(row_changes=RowChanges(why_not="not in the cache")))
    assert unknown.state == "not evaluated" and "not in the cache" in unknown.why
