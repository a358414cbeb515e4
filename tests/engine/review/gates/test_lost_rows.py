from __future__ import annotations

from pipelines.review.gates.lost_rows import lost_rows_gate
from pipelines.review.row_changes import Part, RowChanges
from tests.engine.review.made_up import evidence


def lost(*parts):
    return [result.passed for result in lost_rows_gate(evidence(row_changes=RowChanges(lost=parts)))]


def test_the_share_of_lost_rows_may_reach_the_limit():
    assert lost(Part("rows", 5, 1000), Part("test rows", 6, 1000)) == [True, False]


def test_a_share_of_the_loss_fails_only_beyond_what_chance_gives():
    assert lost(Part("loss", 8.0, 100.0, by_chance=0.09), Part("loss", 8.0, 100.0, by_chance=0.04)) == [True, False]


def test_the_same_rows_pass_and_rows_that_are_not_known_are_not_evaluated():
    assert lost() == [True]
    (unknown,) = lost_rows_gate(evidence(row_changes=RowChanges(why_not="not in the cache")))
    assert unknown.state == "not evaluated" and "not in the cache" in unknown.why
    assert list(lost_rows_gate(evidence())) == []
