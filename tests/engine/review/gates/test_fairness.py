from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipelines.review.compare import Compared
from pipelines.review.findings import GroupRow
from pipelines.review.gates.fairness import fairness_gate, group_rows, ratio_interval
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


def judged(compared_rows, **limits):
    """Groups, and results by rate."""
    chosen = params(fairness={**LIMITS, **limits})
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
    assert all(group in gates["recall"].why for group in ("south", "north"))


def test_a_ratio_fails_only_if_its_whole_interval_is_below_the_limit():
    _, gates = judged(scored(north=(1000, 800, 2000, 200), south=(1000, 500, 2000, 60)))
    assert {name: gate.state for name, gate in gates.items()} == {"recall": "failed", "false positive rate": "failed"}
    # The ratios are below the limits, and chance alone could make them so.
    _, gates = judged(scored(north=(400, 320, 4000, 400), south=(400, 250, 4000, 190)))
    assert {name: gate.state for name, gate in gates.items()} == {"recall": "passed", "false positive rate": "passed"}


def test_a_ratio_that_the_rows_cannot_show_is_not_evaluated():
    _, gates = judged(scored(north=(12, 9, 200, 3), south=(12, 6, 200, 2)))
    assert {gate.state for gate in gates.values()} == {"not evaluated"}


@pytest.mark.parametrize(
    ("share", "rows"), [((0.6, 0.4), (40, 60)), ((0.05, 0.08), (300, 200)), ((0.9, 0.9), (30, 30))]
)
def test_the_interval_of_a_ratio_covers_it_95_times_of_100(share, rows):
    draw = np.random.default_rng(2)
    counts = [draw.binomial(n, p, 1000) for n, p in zip(rows, share, strict=True)]
    covered = 0
    for first, second in zip(*counts, strict=True):
        low, high = ratio_interval((first / rows[0], rows[0]), (second / rows[1], rows[1]), 1.96)
        covered += low <= share[0] / share[1] <= high
    assert covered >= 930  # 950 expected, three standard errors


def test_a_group_without_any_caught_row_fails():
    _, gates = judged(scored(north=(60, 42, 2000, 200), south=(25, 0, 2000, 190)))
    assert gates["recall"].state == "failed" and gates["false positive rate"].passed


def test_the_more_groups_the_wider_the_intervals():
    equal = (200, 160, 2000, 200)
    low = (200, 108, 2000, 200)
    _, gates = judged(scored(north=equal, south=low))
    assert gates["recall"].state == "failed"
    _, gates = judged(scored(south=low, **{f"g{i}": equal for i in range(5)}))
    assert gates["recall"].state == "passed"  # one of 15 pairs may differ that much by chance


@pytest.mark.parametrize("groups", [2, 5])
def test_equal_groups_rarely_fail(groups):
    draw = np.random.default_rng(1)
    made = evidence(params=params(fairness=LIMITS))
    failed = 0
    for _ in range(300):
        caught, flagged = draw.binomial(60, 0.6, groups), draw.binomial(300, 0.05, groups)
        rows = tuple(
            GroupRow("region", f"g{i}", 360, 60, c / 60, f / 300, (c + f) / 360, judged=True)
            for i, (c, f) in enumerate(zip(caught, flagged, strict=True))
        )
        failed += any(result.state == "failed" for result in fairness_gate(replace(made, groups=rows)))
    assert failed <= 6  # at most 2 in 100


def test_the_selection_rate_is_compared_where_a_limit_is_set():
    rows = scored(north=(1000, 800, 2000, 200), south=(100, 80, 2900, 290))
    chosen = params(fairness={**LIMITS, "min_selection_ratio": 0.8})
    groups = group_rows(rows, chosen)
    assert [row.selection_rate for row in groups] == pytest.approx([1000 / 3000, 370 / 3000])
    results = {result.name: result for result in fairness_gate(evidence(params=chosen, groups=groups))}
    assert results["fairness region: selection rate"].state == "failed"
    assert results["fairness region: recall"].passed


def test_a_group_with_too_few_rows_or_positives_is_shown_and_not_evaluated():
    for small in ((9, 0, 200, 0), (20, 0, 20, 0)):
        rows, gates = judged(scored(north=(100, 80, 200, 20), south=small))
        assert [row.judged for row in rows] == [True, False]
        assert not gates


def test_groups_without_any_flagged_row_cannot_be_compared():
    _, gates = judged(scored(north=(100, 0, 200, 0), south=(50, 0, 200, 0)))
    assert {gate.state for gate in gates.values()} == {"not evaluated"}


def test_a_model_without_false_positives_treats_groups_equally():
    _, gates = judged(scored(north=(100, 80, 200, 0), south=(100, 80, 2000, 0)))
    assert {name: gate.state for name, gate in gates.items()} == {"recall": "passed", "false positive rate": "passed"}


def test_few_false_positives_in_every_group_pass_where_their_rates_are_negligible():
    few = {f"region {i}": (100, 80, 12_000, 6) for i in range(4)}
    assert judged(scored(**few))[1]["false positive rate"].state == "not evaluated"
    rate = {"negligible_false_positive_rate": 0.002}
    assert judged(scored(**few), **rate)[1]["false positive rate"].passed
    # One group whose rate may be higher, and one that is shown to differ.
    for other in ((100, 80, 2000, 1), (100, 80, 12_000, 40)):
        assert not judged(scored(**few, other=other), **rate)[1]["false positive rate"].passed


def test_a_low_recall_is_never_negligible():
    low = {"north": (12_000, 6, 200, 20), "south": (12_000, 6, 200, 20)}
    _, gates = judged(scored(**low), negligible_false_positive_rate=0.002)
    assert gates["recall"].state == "not evaluated" and gates["false positive rate"].passed


def test_a_small_group_does_not_hide_two_large_ones_that_differ():
    large = {"north": (1000, 900, 2000, 200), "south": (1000, 650, 2000, 200)}
    for more in ({}, {"east": (40, 25, 400, 40)}):
        _, gates = judged(scored(**large, **more))
        assert gates["recall"].state == "failed"
        assert "for south" in gates["recall"].why


def test_a_rate_that_only_one_group_has_is_not_evaluated():
    _, gates = judged(scored(north=(100, 80, 0, 0), south=(100, 80, 0, 0)))
    assert set(gates) == {"recall"}
    _, gates = judged(scored(north=(100, 80, 0, 0), south=(100, 80, 50, 5)))
    assert set(gates) == {"recall"}


def test_values_that_params_yaml_does_not_declare_are_numbered_groups():
    rows, _ = judged(scored(somewhere=(20, 10, 40, 5), north=(20, 10, 40, 5), elsewhere=(30, 10, 40, 5)))
    assert [(row.group, row.support) for row in rows] == [("north", 60), ("group 1", 70), ("group 2", 60)]


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
    assert {row.group: row.support for row in groups} == {"true": 200, "false": 200}
