from __future__ import annotations

from pipelines.review.gates.repeated_rows import repeated_rows_gate
from pipelines.review.row_changes import Part, RowChanges
from tests.engine.review.made_up import evidence


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


def test_the_same_rows_pass():
    (result,) = repeated_rows_gate(evidence(row_changes=RowChanges()))
    assert result.passed and list(repeated_rows_gate(evidence())) == []
