from __future__ import annotations

import pytest

from pipelines.review.findings import MetricRow
from pipelines.review.gates.regression import regression_gate
from tests.engine.review.made_up import evidence


def regression(metric, low, high, tolerance, task="classification", head=0.8):
    delta = None if low is None else (low + high) / 2
    row = MetricRow(metric, 0.8, head, delta, low, high)
    (result,) = regression_gate(evidence(task, {"gates": {"regression": {metric: tolerance}}}, metrics=(row,)))
    return result


@pytest.mark.parametrize(
    ("metric", "low", "high", "tolerance", "passes"),
    [
        ("roc_auc", -0.02, 0.01, 0.02, True),
        ("roc_auc", -0.0201, 0.01, 0.02, False),
        ("roc_auc", 0.01, 0.02, 0.0, True),
        ("roc_auc", 0.0, 0.0, 0.0, True),
        ("log_loss", -0.01, 0.02, 0.02, True),
        ("log_loss", -0.01, 0.0201, 0.02, False),
        ("log_loss", -0.02, -0.01, 0.0, True),
    ],
)
def test_the_worse_bound_of_the_interval_must_be_within_the_tolerance(metric, low, high, tolerance, passes):
    assert regression(metric, low, high, tolerance).passed is passes


def test_value_and_limit_are_gains_whichever_way_is_better():
    worse, better = regression("log_loss", -0.01, 0.05, 0.02), regression("roc_auc", 0.01, 0.05, 0.02)
    assert (worse.value, worse.limit) == (-0.05, -0.02)
    assert (better.value, better.limit) == (0.01, -0.02)


def test_a_difference_that_is_not_defined_fails():
    assert not regression("roc_auc", None, None, 1.0).passed
    assert not regression("roc_auc", None, None, 1.0, head=None).passed


def test_a_metric_of_a_regression_is_judged_the_same_way():
    assert regression("mae", -0.5, 0.05, 0.1, "regression").passed
    assert not regression("mae", -0.5, 0.11, 0.1, "regression").passed
    assert not regression("r2", -0.11, 0.5, 0.1, "regression").passed


@pytest.mark.parametrize(
    ("metric", "low", "high", "tolerance", "why"),
    [
        ("roc_auc", -0.097, -0.058, 0.03,
         "roc_auc dropped by 0.0775 (95 % CI -0.0970 to -0.0580); tolerance is 0.03"),
        ("log_loss", 0.004, 0.008, 0.004, "log_loss rose by 0.00600 (95 % CI 0.00400 to 0.00800); tolerance is 0.004"),
        ("roc_auc", 0.0, 0.0, 0.03, "roc_auc is unchanged (95 % CI 0.00 to 0.00); tolerance is 0.03"),
        ("mae", 811.4, 2410.0, 500, "mae rose by 1,611 (95 % CI 811 to 2,410); tolerance is 500"),
        ("roc_auc", -0.4, 0.0000001, 0.5, "roc_auc dropped by 0.200 (95 % CI -0.400 to 0.000); tolerance is 0.5"),
    ],
)  # fmt: skip
def test_the_reason_has_the_difference_its_interval_and_the_tolerance(metric, low, high, tolerance, why):
    assert regression(metric, low, high, tolerance, "regression" if metric == "mae" else "classification").why == why
