import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.review.findings import MetricRow
from pipelines.review.gates.metrics import is_within, regression_gate
from tests.engine.review.made_up import evidence


def regression(metric, low, high, tolerance, task="classification", base=0.8, prevalence=0.1):
    delta = None if low is None else (low + high) / 2
    row = MetricRow(metric, base, None if delta is None else base + delta, delta, low, high)
    sections = {"gates": {"regression": {metric: tolerance}}}
    prevalence = prevalence if task == "classification" else None
    (result,) = regression_gate(evidence(task, sections, metrics=(row,), prevalence=prevalence))
    return result


@pytest.mark.parametrize(
    ("metric", "low", "high", "tolerance", "state"),
    [
        ("roc_auc", -0.02, 0.01, 0.02, "passed"),
        ("roc_auc", -0.0201, -0.001, 0.02, "failed"),
        ("roc_auc", -0.0201, 0.01, 0.02, "not evaluated"),
        ("roc_auc", -0.5, -0.0201, 0.02, "failed"),
        ("roc_auc", -0.01, 0.5, 0.02, "passed"),
        ("roc_auc", 0.01, 0.02, 0.0, "passed"),
        ("roc_auc", 0.0, 0.0, 0.0, "passed"),
        ("roc_auc", -0.01, 0.0, 0.0, "not evaluated"),
        ("roc_auc", -0.01, -0.001, 0.0, "failed"),
        ("log_loss", -0.01, 0.02, 0.02, "passed"),
        ("log_loss", 0.001, 0.0201, 0.02, "failed"),
        ("log_loss", -0.01, 0.0201, 0.02, "not evaluated"),
        ("log_loss", -0.02, -0.01, 0.0, "passed"),
    ],
)
def test_the_interval_must_show_that_the_loss_is_within_the_tolerance(metric, low, high, tolerance, state):
    assert regression(metric, low, high, tolerance).state == state


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1))
def test_a_worse_difference_never_gets_a_better_result(delta, half_width, amount, worse_by):
    order = {False: 0, None: 1, True: 2}
    results = [
        order[is_within("roc_auc", moved, moved - half_width, moved + half_width, amount)]
        for moved in (delta, delta - worse_by)
    ]
    assert results[0] >= results[1]


def test_an_equal_model_fails_in_2_5_percent_at_the_width_from_which_on_the_gate_judges():
    draw = np.random.default_rng(1).normal(0, 0.005 / 1.96, 4000)  # half-width 0.005, tolerance 0.01
    failed = sum(is_within("roc_auc", delta, delta - 0.00499, delta + 0.00499, 0.01) is False for delta in draw)
    assert 0.018 <= failed / len(draw) <= 0.032  # 0.025 expected, four standard errors


def test_an_interval_that_reaches_far_to_the_worse_side_alone_cannot_tell():
    # The half-width is half the tolerance; the worse bound is nearly twice as far from the difference.
    row = MetricRow("roc_auc", 0.8, 0.798, -0.002, -0.021, -0.001)
    (result,) = regression_gate(evidence(sections={"gates": {"regression": {"roc_auc": 0.02}}}, metrics=(row,)))
    assert result.state == "not evaluated"


def test_value_and_limit_are_gains_whichever_way_is_better():
    worse, better = regression("log_loss", 0.04, 0.05, 0.02), regression("roc_auc", 0.01, 0.05, 0.02)
    assert (worse.value, worse.limit) == (-0.05, -0.02)
    assert (better.value, better.limit) == (0.01, -0.02)


def test_a_difference_that_is_not_defined_is_not_evaluated():
    assert regression("roc_auc", None, None, 1.0).state == "not evaluated"


def test_a_metric_of_a_regression_is_judged_the_same_way():
    assert regression("mae", -0.5, 0.05, 0.1, "regression").passed
    assert regression("mae", 0.05, 0.11, 0.1, "regression").state == "failed"
    assert regression("r2", -0.11, -0.04, 0.1, "regression").state == "failed"


@pytest.mark.parametrize(
    ("metric", "base", "expected"),
    [("roc_auc", 0.8, 0.03), ("average_precision", 0.6, 0.05), ("log_loss", 0.2, 0.02), ("recall", 0.5, 0.05)],
)
def test_a_relative_tolerance_is_a_share_of_the_bases_distance_from_no_skill(metric, base, expected):
    assert regression(metric, 0.0, 0.0, "10%", base=base).limit == pytest.approx(-expected)


@pytest.mark.parametrize(("metric", "base"), [("roc_auc", 0.5), ("roc_auc", 0.4), ("average_precision", 0.1)])
def test_a_base_without_skill_needs_an_absolute_tolerance(metric, base):
    result = regression(metric, -0.01, 0.01, "10%", base=base)
    assert result.state == "not evaluated" and "absolute tolerance" in result.why
    assert regression(metric, -0.01, 0.01, 0.01, base=base).passed


def test_a_gate_that_cannot_tell_says_how_many_times_as_many_positives_it_needs():
    why = regression("roc_auc", -0.083, 0.083, 0.03).why
    assert f"about {math.ceil((0.083 / 0.015) ** 2)} times as many positives" in why
    assert "times as many rows" in regression("mae", -0.5, 0.5, 0.1, "regression").why


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
