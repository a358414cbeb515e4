import math

import numpy as np
import pytest
import sklearn.metrics as sklearn_metrics
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.config.metrics import METRICS, gain, is_better, names, skill
from pipelines.model.metrics import AtThresholds, Weighted, compute, interval, paired_bootstrap, resamples, too_few

PROBABILITY = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) | st.floats(0, 1)  # the list makes ties
LABELLED = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), PROBABILITY), min_size=1, max_size=60)
MEASURED = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=60)


def arrays(rows):
    target, scores = np.array(rows, dtype=np.float64).T
    return target, scores


def draw_rows(rows=3000, seed=5, noise=1.0):
    """A target with about a tenth positives, and scores that are correlated with it."""
    draw = np.random.default_rng(seed)
    target = (draw.random(rows) < 0.1).astype(float)
    return target, 1 / (1 + np.exp(-(3 * target - 2 + draw.normal(0, noise, rows))))


@settings(max_examples=60)
@example([(1.0, 0.9), (0.0, 0.1), (1.0, 0.1)], 0.5)  # one row flagged
@example([(1.0, 0.5), (0.0, 0.5), (0.0, 0.5), (1.0, 0.4)], 0.5)  # all of a tie, at the threshold
@given(LABELLED, st.sampled_from([0.1, 0.5, 0.9]))
def test_metrics_of_a_classification_equal_those_of_scikit_learn_also_with_ties(rows, threshold):
    target, scores = arrays(rows)
    assume(0 < target.sum() < len(target))
    values = compute("classification", target, scores, threshold)
    flagged = scores >= threshold
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    expected = {
        "average_precision": sklearn_metrics.average_precision_score(target, scores),
        "roc_auc": sklearn_metrics.roc_auc_score(target, scores),
        "log_loss": sklearn_metrics.log_loss(target, clipped),
        "brier": sklearn_metrics.brier_score_loss(target, scores),
        "precision": sklearn_metrics.precision_score(target, flagged, zero_division=0),
        "recall": sklearn_metrics.recall_score(target, flagged),
        "f1": sklearn_metrics.f1_score(target, flagged),
    }
    assert set(values) == {*expected, "calibration_error"} == set(names("classification"))
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@given(LABELLED)
def test_the_calibration_error_is_the_mean_gap_of_ten_bins_weighted_by_their_rows(rows):
    target, scores = arrays(rows)
    gaps = 0.0
    for i in range(10):
        inside = np.minimum((scores * 10).astype(int), 9) == i
        if inside.any():
            gaps += inside.sum() * abs(scores[inside].mean() - target[inside].mean())
    values = compute("classification", target, scores, 0.5)["calibration_error"]
    assert values == pytest.approx(gaps / len(rows), abs=1e-9)


@given(MEASURED)
def test_metrics_of_a_regression_equal_those_of_scikit_learn(rows):
    target, scores = arrays(rows)
    assume(target.std() > 1e-2)
    values = compute("regression", target, scores, None)
    expected = {
        "mae": sklearn_metrics.mean_absolute_error(target, scores),
        "rmse": sklearn_metrics.root_mean_squared_error(target, scores),
        "r2": sklearn_metrics.r2_score(target, scores),
    }
    assert values == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert tuple(values) == names("regression")


@given(
    st.sampled_from([0.0, 1e7, -1e7, 1e9]),
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.integers(0, 3)), min_size=20, max_size=60),
)
def test_r2_in_single_precision_equals_that_of_scikit_learn_for_targets_far_from_zero(level, rows):
    target, scores, weights = np.array(rows, dtype=np.float64).T
    assume((weights > 0).sum() > 1 and np.repeat(target, weights.astype(int)).std() > 100)
    value = Weighted("regression", target + level, scores + level, None)(weights[None, :].astype(np.float32))["r2"][0]
    expected = sklearn_metrics.r2_score(target + level, scores + level, sample_weight=weights)
    assert 1 - value == pytest.approx(1 - expected, rel=1e-3)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), PROBABILITY, st.integers(0, 3)), min_size=1, max_size=40))
def test_a_weight_counts_as_that_many_copies_of_the_row(rows):
    target, scores, weights = np.array(rows, dtype=np.float64).T
    assume(weights.sum() > 0)
    for task, threshold in (("classification", 0.5), ("regression", None)):
        weighted = Weighted(task, target, scores, threshold)(weights[None, :])
        times = weights.astype(int)
        repeated = compute(task, np.repeat(target, times), np.repeat(scores, times), threshold)
        for name, value in repeated.items():
            if not (name == "r2" and np.repeat(target, times).std() < 1e-2):
                assert weighted[name][0] == pytest.approx(value, abs=1e-6, nan_ok=True), name


def test_many_weights_at_once_give_what_each_gives_alone():
    target, scores = draw_rows(500)
    weighted = Weighted("classification", target, scores, 0.5)
    weights = np.concatenate(list(resamples(500, 40, 3)))
    together = weighted(weights)
    for i in (0, 17, 39):
        for name, value in weighted(weights[i : i + 1]).items():
            assert together[name][i] == pytest.approx(value[0], abs=1e-5)


# Metrics that are not defined, and extreme inputs


def test_metrics_that_need_a_positive_or_a_negative_are_not_defined_without_one():
    scores = np.array([0.2, 0.6, 0.6])
    none = compute("classification", np.zeros(3), scores, 0.5)
    undefined = {name for name, value in none.items() if math.isnan(value)}
    assert undefined == {"average_precision", "roc_auc", "recall"}
    assert none["precision"] == 0 and none["f1"] == 0
    every = compute("classification", np.ones(3), scores, 0.5)
    assert {name for name, value in every.items() if math.isnan(value)} == {"roc_auc"}
    assert every["average_precision"] == 1 and every["precision"] == 1


def test_a_model_that_flags_nothing_has_no_precision_and_one_without_positives_no_f1():
    values = compute("classification", np.array([1.0, 0.0]), np.array([0.2, 0.1]), 0.5)
    assert values["precision"] == values["recall"] == values["f1"] == 0
    nobody = compute("classification", np.zeros(2), np.array([0.2, 0.1]), 0.5)
    assert math.isnan(nobody["f1"])


def test_without_rows_no_metric_is_defined_and_none_raises():
    for task, threshold in (("classification", 0.5), ("regression", None)):
        values = compute(task, np.empty(0), np.empty(0), threshold)
        assert all(math.isnan(value) or value == 0 for value in values.values())


def test_a_certain_wrong_answer_has_a_large_and_finite_loss():
    values = compute("classification", np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5)
    assert 10 < values["log_loss"] < 20 and values["roc_auc"] == 0


def test_only_resamples_without_a_positive_are_not_defined():
    target, scores = np.array([1.0, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    weights = np.array([[0, 2, 1, 1], [1, 1, 1, 1]], dtype=np.float32)
    values = Weighted("classification", target, scores, 0.5)(weights)["average_precision"]
    assert math.isnan(values[0]) and values[1] == 1


def test_is_better_and_gain_follow_the_direction_of_the_metric():
    for name in METRICS:
        lower = name in ("log_loss", "brier", "calibration_error", "cost", "mae", "rmse")
        assert is_better(name, 0.2, 0.3) is lower and is_better(name, 0.3, 0.2) is not lower
        assert is_better(name, 0.2, 0.2) is False
        assert gain(name, -0.1) == (0.1 if lower else -0.1)


# The bootstrap


def test_resamples_are_seeded_and_draw_each_row_as_often_as_any_other():
    weights = np.concatenate(list(resamples(200, 100, 7)))
    assert weights.shape == (100, 200)
    np.testing.assert_array_equal(weights.sum(axis=1), 200)
    np.testing.assert_array_equal(weights, np.concatenate(list(resamples(200, 100, 7))))
    assert not np.array_equal(weights, np.concatenate(list(resamples(200, 100, 8))))
    assert abs(weights.mean(axis=0) - 1).max() < 0.5  # five standard deviations


def test_the_first_resamples_do_not_depend_on_how_many_follow():
    few, many = (np.concatenate(list(resamples(50, count, 7))) for count in (32, 64))
    np.testing.assert_array_equal(few, many[:32])


def test_the_bootstrap_is_paired():
    target, scores = draw_rows()
    base = Weighted("classification", target, scores, 0.5)
    same = Weighted("classification", target, scores, 0.5)
    first, second = paired_bootstrap([base, same], len(target), 100, 7)
    for name in names("classification"):
        assert first[name].shape == (100,)
        np.testing.assert_array_equal(first[name], second[name])


def test_a_pair_has_a_narrower_difference_than_its_parts():
    target, scores = draw_rows()
    other = np.clip(scores + np.random.default_rng(2).normal(0, 0.01, len(scores)), 0, 1)
    pair = [Weighted("classification", target, values, 0.5) for values in (scores, other)]
    base, head = paired_bootstrap(pair, len(target), 200, 7)
    name = "average_precision"
    assert (head[name] - base[name]).std() < base[name].std() / 3


def test_the_bootstrap_can_be_limited_to_some_metrics():
    target, scores = draw_rows(300)
    model = Weighted("classification", target, scores, 0.5)
    (only,) = paired_bootstrap([model], 300, 10, 7, only=["recall"])
    (every,) = paired_bootstrap([model], 300, 10, 7)
    assert list(only) == ["recall"]
    np.testing.assert_array_equal(only["recall"], every["recall"])


def test_a_95_percent_interval_covers_the_true_value_about_95_times_of_100():
    truth = sklearn_metrics.roc_auc_score(*draw_rows(400_000, seed=99))
    covered = 0
    for seed in range(100):
        target, scores = draw_rows(600, seed)
        model = Weighted("classification", target, scores, 0.5)
        (values,) = paired_bootstrap([model], 600, 200, seed, only=["roc_auc"])
        low, high = interval(values["roc_auc"])
        covered += low <= truth <= high
    assert 86 <= covered <= 100  # 95 of 100 expected; fewer than 86 in a run has a chance below 1 in 1,000


def test_an_interval_needs_99_percent_of_its_values_to_be_defined():
    values = np.linspace(0, 1, 1001)
    assert interval(np.append(values, [np.nan] * 10), 0.9) == pytest.approx((0.05, 0.95))
    for undefined in (np.append(values, [np.nan] * 11), np.full(3, np.nan), np.empty(0)):
        assert all(math.isnan(bound) for bound in interval(undefined))


@pytest.mark.parametrize(("positives", "enough"), [(19, False), (20, True), (80, True), (81, False)])
def test_an_interval_needs_20_rows_of_each_class(positives, enough):
    assert bool(too_few("classification", np.repeat([1.0, 0.0], [positives, 100 - positives]))) is not enough


def test_an_interval_of_a_regression_needs_20_rows():
    assert too_few("regression", np.zeros(19)) and not too_few("regression", np.zeros(20))


def draw_costs(rows, seed=6):
    return np.random.default_rng(seed).normal(size=(rows, 2)).round(2)


def test_cost_is_that_of_the_decisions_per_10_000_rows():
    target, scores = draw_rows(300)
    costs = draw_costs(300)
    expected = sum(costs[i, int(score >= 0.5)] for i, score in enumerate(scores)) / 300 * 10_000
    assert compute("classification", target, scores, 0.5, costs)["cost"] == pytest.approx(expected)
    assert "cost" not in compute("classification", target, scores, 0.5)


def test_thresholds_of_their_own_give_the_values_of_models_with_these_thresholds():
    target, scores = draw_rows(300, 4)
    weights = next(resamples(300, 20, 5))
    thresholds = np.linspace(scores.min(), scores.max(), 20)
    thresholds[3] = np.nan
    costs = draw_costs(300)
    values = AtThresholds("classification", target, scores, costs)(weights, thresholds)
    assert set(values) == {"precision", "recall", "f1", "cost"}
    for i, threshold in enumerate(thresholds):
        expected = Weighted("classification", target, scores, float(threshold), costs)(weights[i : i + 1])
        for name, value in values.items():
            assert value[i] == pytest.approx(np.nan if i == 3 else expected[name][0], nan_ok=True, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "distance"),
    [
        ("roc_auc", 0.8, 0.3),
        ("roc_auc", 0.4, 0.0),
        ("average_precision", 0.6, 0.59),
        ("precision", 0.3, 0.29),
        ("r2", 0.7, 0.7),
        ("log_loss", 0.05, 0.05),
    ],
)
def test_skill_is_the_distance_from_a_model_that_knows_nothing(name, value, distance):
    assert skill(name, value, prevalence=0.01) == pytest.approx(distance)
