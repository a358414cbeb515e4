from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.review.compare import Compared
from pipelines.review.gates.fairness import fairness_gate, group_rows
from tests.engine.review.made_up import compared, evidence, params

LIMITS = {"min_recall_ratio": 0.8, "min_false_positive_ratio": 0.5, "min_support": 50, "min_positives": 10}


def scored(**groups):
    """Rows of named groups: (positives, of them caught, negatives, of them flagged)."""
    region, target, head = [], [], []
    for name, (positives, caught, negatives, flagged) in groups.items():
        region += [name] * (positives + negatives)
        target += [1.0] * positives + [0.0] * negatives
        head += [0.9] * caught + [0.1] * (positives - caught) + [0.9] * flagged + [0.1] * (negatives - flagged)
    arrow = pa.table({"region": region})
    return Compared("classification", arrow, np.array(target), np.array(head), 0.5, None, None, 0)


def judged(compared_rows):
    """Groups, and results by rate."""
    chosen = params(fairness=LIMITS)
    groups = group_rows(compared_rows, chosen)
    results = fairness_gate(evidence(params=chosen, groups=groups))
    return groups, {result.name.partition(": ")[2]: result for result in results}


def test_recall_and_false_positive_rate_of_each_group_are_compared_by_their_ratio():
    rows, gates = judged(scored(north=(100, 80, 200, 20), south=(50, 35, 200, 10)))
    assert [(row.group, row.support, row.positives, row.recall, row.false_positive_rate) for row in rows] == [
        ("north", 300, 100, 0.8, 0.1),
        ("south", 250, 50, 0.7, 0.05),
    ]
    assert (gates["recall"].value, gates["false positive rate"].value) == pytest.approx((0.875, 0.5))
    assert gates["recall"].passed and gates["false positive rate"].passed
    assert all(group in gates["recall"].why for group in ("south", "north"))


def test_a_ratio_below_the_limit_fails():
    _, gates = judged(scored(north=(100, 80, 200, 20), south=(50, 31, 200, 9)))
    assert not gates["recall"].passed and not gates["false positive rate"].passed


def test_a_group_with_too_few_rows_or_positives_is_shown_and_not_evaluated():
    for small in ((9, 0, 200, 0), (20, 0, 20, 0)):
        rows, gates = judged(scored(north=(100, 80, 200, 20), south=small))
        assert [row.judged for row in rows] == [True, False]
        assert not gates


def test_groups_without_any_flagged_row_are_equal():
    _, gates = judged(scored(north=(100, 0, 200, 0), south=(50, 0, 200, 0)))
    assert {gate.value for gate in gates.values()} == {1.0}


def test_a_rate_that_only_one_group_has_is_not_evaluated():
    _, gates = judged(scored(north=(100, 80, 0, 0), south=(100, 80, 0, 0)))
    assert set(gates) == {"recall"}
    _, gates = judged(scored(north=(100, 80, 0, 0), south=(100, 80, 50, 5)))
    assert set(gates) == {"recall"}


def test_a_value_that_params_yaml_does_not_declare_is_never_a_group():
    rows, _ = judged(scored(north=(20, 10, 40, 5), somewhere=(20, 10, 40, 5)))
    assert [row.group for row in rows if row.support] == ["north"]


def test_there_is_no_fairness_without_the_section_and_none_for_a_regression():
    rows = scored(north=(100, 80, 200, 20), south=(50, 0, 200, 10))
    assert group_rows(rows, params()) == ()
    assert list(fairness_gate(evidence(params=params()))) == []
    assert group_rows(compared(100, task="regression"), params("regression")) == ()


def test_a_boolean_column_has_two_groups():
    chosen = params(fairness=LIMITS)
    columns = {**chosen.table.columns, "gift": chosen.table.columns["gift"].model_copy(update={"sensitive": True})}
    chosen = chosen.model_copy(update={"table": chosen.table.model_copy(update={"columns": columns})})
    rows = compared(600, gift=[True, False, None] * 200, region=["north"] * 600)
    groups = [row for row in group_rows(rows, chosen) if row.column == "gift"]
    assert [(row.group, row.support) for row in groups] == [("true", 200), ("false", 200)]
