from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipelines.config.table_schema import Column
from pipelines.review.gates.slices import slice_rows, slices_gate
from pipelines.tables.slices import masks
from tests.engine.review.made_up import compared, evidence, params

ROWS = 4000
SIZES = np.array(["S", "M", "L", None] * (ROWS // 4), dtype=object)


def with_slices(by, task="classification", **limits):
    metric = "roc_auc" if task == "classification" else "mae"
    section = {"metric": metric, "min_support": 200, "min_positives": 20, "tolerance": 0.05, "by": by, **limits}
    return params(task, slices=section)


def masks_of(by, table):
    (entry,) = with_slices({"part": by}).slices.by.values()
    column = Column(type="boolean" if entry.column == "gift" else "category")
    return {name: mask.tolist() for name, mask in masks(table, "part", entry, column)}


def test_each_value_of_a_column_is_a_slice_and_so_are_missing_values():
    table = pa.table({"size": ["S", "L", None, "S"], "gift": [True, None, False, True]})
    assert masks_of({"column": "size"}, table) == {
        "part=L": [False, True, False, False],
        "part=S": [True, False, False, True],
        "part=missing": [False, False, True, False],
    }
    assert set(masks_of({"column": "gift"}, table)) == {"part=true", "part=false", "part=missing"}


def test_named_values_are_one_slice():
    table = pa.table({"size": ["S", "L", None, "M"], "gift": [True, None, False, True]})
    assert masks_of({"column": "size", "values": ["S", "M"]}, table) == {"part": [True, False, False, True]}
    assert masks_of({"column": "gift", "values": ["false"]}, table) == {"part": [False, False, True, False]}


def test_a_range_includes_its_lower_end_and_neither_its_upper_end_nor_missing_values():
    table = pa.table({"price": [9.0, 10.0, 20.0, None], "items": [1, 2, 3, None]})
    assert masks_of({"column": "price", "from": 10, "to": 20}, table) == {"part": [False, True, False, False]}
    assert masks_of({"column": "items", "to": 3}, table) == {"part": [True, True, False, False]}


def test_only_the_fifty_most_frequent_values_are_slices():
    words = [f"shop{i:03}" for i in range(80) for _ in range(80 - i)]
    slices = masks_of({"column": "shop"}, pa.table({"shop": words}))
    assert len(slices) == 50
    assert "part=shop000" in slices and "part=shop079" not in slices


def judged(scored, chosen):
    """Rows by name, and results by name."""
    rows = slice_rows(scored, chosen)
    results = slices_gate(evidence(params=chosen, slices=rows))
    return {row.name: row for row in rows}, {result.name: result for result in results}


def test_a_slice_fails_when_its_whole_interval_is_worse_than_the_tolerance_and_names_itself():
    scored = compared(ROWS, size=SIZES)
    worse_scores = scored.head.copy()
    broken = np.flatnonzero(SIZES == "M")
    worse_scores[broken] = np.random.default_rng(3).permutation(worse_scores[broken])
    rows, gates = judged(replace(scored, head=worse_scores), with_slices({"size": {"column": "size"}}))
    assert {name for name, gate in gates.items() if not gate.passed} == {"slice size=M"}
    assert rows["size=M"].high < -0.05
    assert (rows["size=S"].low, rows["size=S"].high) == (0, 0)


def test_a_slice_whose_interval_reaches_into_the_tolerance_passes():
    scored = compared(ROWS, size=SIZES)
    noise = np.random.default_rng(3).normal(0, 0.02, ROWS)
    rows, _ = judged(
        replace(scored, head=scored.head + noise), with_slices({"size": {"column": "size"}}, tolerance=0.01)
    )
    assert all(row.low < 0 and row.passed for row in rows.values())


def test_a_floor_fails_only_if_the_whole_interval_misses_it():
    scored = compared(ROWS, skill=0.5, base_skill=None, size=SIZES)
    small = {"small": {"column": "size", "values": ["S"]}}
    value = judged(scored, with_slices(small))[0]["small"].value
    assert judged(scored, with_slices(small, floor=value + 0.002))[1]["slice small"].passed
    gate = judged(scored, with_slices(small, floor=value + 0.2))[1]["slice small"]
    assert not gate.passed and "the whole CI of its roc_auc is below the minimum" in gate.why


def test_for_a_regression_lower_is_better_in_floor_and_tolerance():
    scored = compared(ROWS, task="regression", skill=0.4, base_skill=1.0, size=SIZES)
    by = {"size": {"column": "size"}}
    rows, gates = judged(scored, with_slices(by, "regression"))
    assert all(not gate.passed for gate in gates.values())
    assert all(row.positives is None for row in rows.values())
    better = replace(scored, head=scored.base, base=scored.head)
    assert all(gate.passed for gate in judged(better, with_slices(by, "regression"))[1].values())
    assert not any(gate.passed for gate in judged(better, with_slices(by, "regression", floor=0.001))[1].values())


def test_a_slice_with_too_few_rows_is_shown_and_not_evaluated():
    rare = np.where(np.arange(ROWS) < 150, "M", "S").astype(object)
    rows, gates = judged(compared(ROWS, size=rare), with_slices({"size": {"column": "size"}}))
    assert set(gates) == {"slice size=S"}
    assert rows["size=M"].passed is None
    assert "slices.min_support" in rows["size=M"].note
    assert rows["size=M"].value is not None


def test_a_slice_with_too_few_positives_is_shown_and_not_evaluated():
    scored = compared(ROWS, share=0.004, size=SIZES)
    rows, gates = judged(scored, with_slices({"size": {"column": "size"}}))
    assert not gates
    assert all("slices.min_positives" in row.note for row in rows.values())


def test_a_slice_with_too_few_negatives_is_shown_and_not_evaluated():
    rows, gates = judged(compared(ROWS, share=0.996, size=SIZES), with_slices({"size": {"column": "size"}}))
    assert not gates
    assert all("negatives" in row.note for row in rows.values())


def test_a_slice_without_rows_is_not_evaluated():
    rows, gates = judged(compared(400, size=SIZES[:400]), with_slices({"none": {"column": "size", "values": ["XL"]}}))
    assert not gates
    assert (rows["none"].support, rows["none"].value, rows["none"].passed) == (0, None, None)


def test_values_of_a_sensitive_column_that_params_yaml_does_not_name_are_numbered():
    regions = np.array(["elsewhere", "north", "nowhere", "elsewhere"] * (ROWS // 4), dtype=object)
    rows, _ = judged(compared(ROWS, region=regions), with_slices({"region": {"column": "region"}}))
    assert {name: row.support for name, row in rows.items()} == {
        "region=north": ROWS // 4,
        "region=group 1": ROWS // 2,
        "region=group 2": ROWS // 4,
    }


@pytest.mark.parametrize(("tolerance", "passed"), [("1%", False), ("90%", True)])
def test_a_tolerance_of_a_slice_may_be_a_share_of_the_bases_skill(tolerance, passed):
    scored = compared(ROWS, skill=0.6, base_skill=1.0, size=SIZES)
    _, gates = judged(scored, with_slices({"size": {"column": "size"}}, tolerance=tolerance))
    assert {gate.passed for gate in gates.values()} == {passed}


def test_a_slice_on_which_the_metric_is_not_defined_is_not_evaluated():
    scored = compared(ROWS, task="regression", size=SIZES)
    flat = replace(scored, target=np.zeros(ROWS), head=np.zeros(ROWS), base=np.zeros(ROWS))
    rows, results = judged(flat, with_slices({"size": {"column": "size"}}, "regression", metric="r2"))
    assert not results
    assert all("not defined" in row.note for row in rows.values())


def test_a_floor_of_a_metric_where_lower_is_better_fails_only_beyond_the_whole_interval():
    scored = compared(ROWS, task="regression", size=SIZES)
    by = {"all_rows": {"column": "size"}}
    rows, _ = judged(scored, with_slices(by, task="regression"))
    error = rows["all_rows=M"].value
    # The value lies just above the floor, and its interval reaches below it: these rows cannot show a failure.
    for floor, passed in ((error * 0.99, True), (error * 0.5, False)):
        rows, _ = judged(scored, with_slices(by, task="regression", floor=floor))
        assert rows["all_rows=M"].passed is passed
