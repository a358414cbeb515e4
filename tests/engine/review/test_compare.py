from dataclasses import replace
from datetime import datetime

import ibis
import numpy as np
import pyarrow as pa
import pytest

from pipelines.config.metrics import names
from pipelines.config.selection import Threshold
from pipelines.model.signature import Input, Signature
from pipelines.model.threshold import ThresholdChoice, choose_threshold
from pipelines.review.compare import Compared, compare, metric_rows
from pipelines.review.earlier_model import EarlierModel, not_comparable
from tests.engine.review.made_up import compared, params


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_equal_models_have_a_difference_of_zero_in_every_resample(task):
    rows = metric_rows(compared(task=task), 100, 7)
    assert [row.name for row in rows] == list(names(task))
    assert {(row.delta, row.low, row.high) for row in rows} == {(0.0, 0.0, 0.0)}


def test_a_better_model_has_its_whole_interval_on_the_better_side():
    rows = {row.name: row for row in metric_rows(compared(skill=1.0, base_skill=0.5), 200, 7)}
    assert rows["roc_auc"].low > 0 and not rows["roc_auc"].lower_is_better
    assert rows["log_loss"].high < 0 and rows["log_loss"].lower_is_better
    assert rows["roc_auc"].delta == pytest.approx(rows["roc_auc"].head - rows["roc_auc"].base)


def test_the_interval_is_that_of_the_difference_on_the_same_rows():
    # The models differ by a constant: each metric is uncertain, their difference is not.
    scored = compared(task="regression", rows=500)
    target = scored.target
    noise = np.random.default_rng(5).exponential(3.0, len(target))
    shifted = replace(scored, head=target + noise, base=target + noise + 0.25)
    row = next(row for row in metric_rows(shifted, 200, 7) if row.name == "mae")
    assert (row.low, row.delta, row.high) == pytest.approx((-0.25, -0.25, -0.25), abs=1e-5)


def test_equal_inputs_give_equal_intervals():
    rows = compared(skill=0.9)
    assert metric_rows(rows, 100, 7) == metric_rows(rows, 100, 7)
    assert metric_rows(rows, 100, 7) != metric_rows(rows, 100, 8)


def equal_pair(seed: int, rows: int = 1500) -> Compared:
    """Two models of the same skill, each with the threshold that is best for F1 on 800 validation rows."""
    draw = np.random.default_rng(seed)

    def side(count):
        truth = draw.normal(size=count)
        target = (truth + draw.normal(size=count) > 2.2).astype(float)
        return target, *(1 / (1 + np.exp(-truth - draw.normal(0, 0.5, count))) for _ in range(2))

    rule = Threshold()
    validation, *validation_scores = side(800)
    of_head, of_base = (choose_threshold(validation, scores, rule) for scores in validation_scores)
    choice_of_head, choice_of_base = (ThresholdChoice(validation, scores, rule) for scores in validation_scores)
    target, head, base = side(rows)
    choices = choice_of_head, choice_of_base
    return Compared("classification", pa.table({}), target, head, of_head, base, of_base, 0, choices)


def test_intervals_of_metrics_with_a_threshold_take_its_choice_into_account():
    def excludes_zero(scored):
        row = next(row for row in metric_rows(scored, 100, 7) if row.name == "recall")
        return not row.low <= 0 <= row.high

    pairs = [equal_pair(seed) for seed in range(60)]
    assert sum(excludes_zero(replace(pair, choices=None)) for pair in pairs) >= 15  # wrong: fixed thresholds
    assert sum(excludes_zero(pair) for pair in pairs) <= 6


@pytest.mark.parametrize("positives", [19, 20])
def test_below_20_rows_of_a_class_there_is_no_interval_unless_the_answers_are_equal(positives):
    scored = compared(200, skill=0.9)
    few = replace(scored, target=np.repeat([1.0, 0.0], [positives, 200 - positives]))
    rows = metric_rows(few, 100, 7)
    assert all((row.low is None) == bool(row.shortage) == (positives < 20) for row in rows)
    assert {row.low for row in metric_rows(replace(few, base=few.head), 100, 7)} == {0.0}


def test_without_a_base_there_is_no_difference():
    rows = metric_rows(compared(base_skill=None), 100, 7)
    assert all(row.base is row.delta is row.low is row.high is None for row in rows)
    assert all(row.head is not None for row in rows)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_without_rows_no_metric_is_defined_and_none_raises(task):
    empty = compared(task=task, rows=50).only(np.zeros(50, bool))
    rows = metric_rows(empty, 100, 7)
    assert [row.name for row in rows] == list(names(task))
    assert {row.head for row in rows} <= {None, 0.0}  # precision is 0 where nothing is flagged


def test_a_metric_that_needs_a_positive_is_not_defined_without_one():
    scored = compared(rows=200)
    rows = {row.name: row for row in metric_rows(replace(scored, target=np.zeros(200)), 100, 7)}
    assert rows["roc_auc"].head is rows["roc_auc"].low is None
    assert rows["brier"].head is not None


def signature(*inputs, trained_until="2026-03-01T00:00:00+00:00", split=None):
    return Signature(
        "orders", "classification", "returned", inputs, "probability", "boosting",
        trained_until=trained_until, split=split,
    )  # fmt: skip


TABLE = {"price": "float64", "size": "string", "gift": "boolean", "items": "int64", "ordered_at": "timestamp"}


def reason(*inputs, columns=TABLE, event_time="ordered_at", **fields):
    return not_comparable(ibis.schema(columns), signature(*inputs, **fields), event_time)


def test_a_table_with_all_columns_of_the_base_is_comparable():
    every = [Input("price", "number"), Input("size", "category"), Input("gift", "boolean")]
    every += [Input("items", "integer"), Input("ordered_at", "timestamp")]
    assert reason(*every) is None
    assert reason(Input("items", "number"), Input("price", "integer"), Input("items", "boolean")) is None


def test_a_column_that_the_base_needs_is_named_if_it_is_missing_or_has_another_type():
    assert reason(Input("price", "number"), Input("colour", "category")) == "not comparable: column colour"
    assert reason(Input("size", "number")).startswith("not comparable: column size is string")
    assert reason(Input("price", "category")).startswith("not comparable: column price is float64")
    assert reason(Input("items", "timestamp")).startswith("not comparable: column items is int64")


def test_a_base_whose_training_rows_are_not_known_is_not_comparable():
    by_hash = {"by": "hash", "column": "order_id", "salt": "s", "test": 0.2, "validation": 0.2}
    assert reason(Input("price", "number"), split=by_hash) == "not comparable: column order_id"
    assert reason(Input("price", "number"), split={**by_hash, "column": "size"}) is None
    assert "trained on" in reason(Input("price", "number"), event_time=None)
    assert reason(Input("price", "number"), event_time=None, split={**by_hash, "column": "size"}) is None


def test_rows_that_the_base_was_trained_on_are_left_out(logistic):
    rows = 300
    raw = {name: values[:rows].tolist() for name, values in logistic.raw.items()}
    raw["order_id"] = [f"o{i:04}" for i in range(rows)]
    raw["returned"] = (np.arange(rows) % 3 == 0).tolist()
    table = ibis.memtable(raw)
    split = {"by": "time", "column": "ordered_at", "matured": "2026-04-01T00:00:00+00:00",
             "test_from": "2026-02-01T00:00:00+00:00", "validation_from": "2026-01-20T00:00:00+00:00"}  # fmt: skip
    head, base = logistic.scorer(), logistic.scorer()
    base.signature = replace(base.signature, trained_until="2026-03-01T00:00:00+00:00")
    times = logistic.raw["ordered_at"][:rows]
    test, kept = times >= np.datetime64("2026-02-01"), times >= np.datetime64("2026-03-01")

    result = compare(table, params(), split, head, EarlierModel(base))

    assert 0 < kept.sum() < test.sum()
    assert (len(result.target), result.left_out) == (kept.sum(), test.sum() - kept.sum())
    assert min(result.arrow["ordered_at"].to_pylist()) >= datetime(2026, 3, 1)
    assert np.array_equal(result.head, result.base)
    assert len(compare(table, params(), split, head, None).target) == test.sum()
