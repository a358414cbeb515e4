import math

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.metrics.bootstrap import interval, paired_bootstrap, resamples
from pipelines.metrics.compute import Weighted, compute
from pipelines.metrics.table import METRICS, gain, is_better, names

PROBABILITY = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) | st.floats(0, 1)  # the list makes ties
LABELLED = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), PROBABILITY), min_size=1, max_size=60)
MEASURED = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=60)


def arrays(rows):
    target, scores = np.array(rows, dtype=np.float64).T
    return target, scores


def drawn(rows=3000, seed=5, noise=1.0):
    """A target of about a tenth positives and scores that know something of it."""
    draw = np.random.default_rng(seed)
    target = (draw.random(rows) < 0.1).astype(float)
    return target, 1 / (1 + np.exp(-(3 * target - 2 + draw.normal(0, noise, rows))))


@settings(deadline=None, max_examples=60)
@example([(1.0, 0.9), (0.0, 0.1), (1.0, 0.1)], 0.5)  # one row flagged
@example([(1.0, 0.5), (0.0, 0.5), (0.0, 0.5), (1.0, 0.4)], 0.5)  # all of a tie, at the threshold
@given(LABELLED, st.sampled_from([0.1, 0.5, 0.9]))
def test_metrics_of_a_classification_are_those_of_scikit_learn_ties_included(rows, threshold):
    target, scores = arrays(rows)
    assume(0 < target.sum() < len(target))
    found = compute("classification", target, scores, threshold)
    flagged = scores >= threshold
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    expected = {
        "average_precision": theirs.average_precision_score(target, scores),
        "roc_auc": theirs.roc_auc_score(target, scores),
        "log_loss": theirs.log_loss(target, clipped),
        "brier": theirs.brier_score_loss(target, scores),
        "precision": theirs.precision_score(target, flagged, zero_division=0),
        "recall": theirs.recall_score(target, flagged),
        "f1": theirs.f1_score(target, flagged),
    }
    assert set(found) == {*expected, "calibration_error"} == set(names("classification"))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@given(LABELLED)
def test_the_calibration_error_is_the_mean_gap_of_ten_bins_weighted_by_their_rows(rows):
    target, scores = arrays(rows)
    gaps = 0.0
    for i in range(10):
        inside = np.minimum((scores * 10).astype(int), 9) == i
        if inside.any():
            gaps += inside.sum() * abs(scores[inside].mean() - target[inside].mean())
    found = compute("classification", target, scores, 0.5)["calibration_error"]
    assert found == pytest.approx(gaps / len(rows), abs=1e-9)


@settings(deadline=None)
@given(MEASURED)
def test_metrics_of_a_regression_are_those_of_scikit_learn(rows):
    target, scores = arrays(rows)
    assume(target.std() > 1e-2)
    found = compute("regression", target, scores, None)
    expected = {
        "mae": theirs.mean_absolute_error(target, scores),
        "rmse": theirs.root_mean_squared_error(target, scores),
        "r2": theirs.r2_score(target, scores),
    }
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert tuple(found) == names("regression")


@settings(deadline=None, max_examples=200)
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
    target, scores = drawn(500)
    weighted = Weighted("classification", target, scores, 0.5)
    weights = np.concatenate(list(resamples(500, 40, 3)))
    together = weighted(weights)
    for i in (0, 17, 39):
        for name, value in weighted(weights[i : i + 1]).items():
            assert together[name][i] == pytest.approx(value[0], abs=1e-5)


# Undefined, and the ends.


def test_without_a_positive_or_without_a_negative_what_needs_one_is_not_a_number():
    scores = np.array([0.2, 0.6, 0.6])
    none = compute("classification", np.zeros(3), scores, 0.5)
    undefined = {name for name, value in none.items() if math.isnan(value)}
    assert undefined == {"average_precision", "roc_auc", "recall"}
    assert none["precision"] == 0 and none["f1"] == 0
    every = compute("classification", np.ones(3), scores, 0.5)
    assert {name for name, value in every.items() if math.isnan(value)} == {"roc_auc"}
    assert every["average_precision"] == 1 and every["precision"] == 1


def test_a_model_that_flags_nothing_has_no_precision_and_one_without_positives_no_f1():
    found = compute("classification", np.array([1.0, 0.0]), np.array([0.2, 0.1]), 0.5)
    assert found["precision"] == found["recall"] == found["f1"] == 0
    nobody = compute("classification", np.zeros(2), np.array([0.2, 0.1]), 0.5)
    assert math.isnan(nobody["f1"])


def test_without_rows_nothing_is_a_number_and_nothing_falls_over():
    for task, threshold in (("classification", 0.5), ("regression", None)):
        found = compute(task, np.empty(0), np.empty(0), threshold)
        assert all(math.isnan(value) or value == 0 for value in found.values())


def test_a_certain_and_wrong_answer_has_a_large_and_finite_loss():
    found = compute("classification", np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5)
    assert 10 < found["log_loss"] < 20 and found["roc_auc"] == 0


def test_a_resample_without_a_positive_is_not_a_number_and_the_others_are():
    target, scores = np.array([1.0, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    weights = np.array([[0, 2, 1, 1], [1, 1, 1, 1]], dtype=np.float32)
    found = Weighted("classification", target, scores, 0.5)(weights)["average_precision"]
    assert math.isnan(found[0]) and found[1] == 1


def test_better_and_gain_know_which_way_is_up():
    for name in METRICS:
        lower = name in ("log_loss", "brier", "calibration_error", "mae", "rmse")
        assert is_better(name, 0.2, 0.3) is lower and is_better(name, 0.3, 0.2) is not lower
        assert is_better(name, 0.2, 0.2) is False
        assert gain(name, -0.1) == (0.1 if lower else -0.1)


# The bootstrap.


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
    target, scores = drawn()
    base = Weighted("classification", target, scores, 0.5)
    same = Weighted("classification", target, scores, 0.5)
    first, second = paired_bootstrap([base, same], len(target), 100, 7)
    for name in names("classification"):
        assert first[name].shape == (100,)
        np.testing.assert_array_equal(first[name], second[name])


def test_a_pair_has_a_narrower_difference_than_its_parts():
    target, scores = drawn()
    other = np.clip(scores + np.random.default_rng(2).normal(0, 0.01, len(scores)), 0, 1)
    pair = [Weighted("classification", target, values, 0.5) for values in (scores, other)]
    base, head = paired_bootstrap(pair, len(target), 200, 7)
    name = "average_precision"
    assert (head[name] - base[name]).std() < base[name].std() / 3


def test_the_bootstrap_can_be_asked_for_some_metrics_only():
    target, scores = drawn(300)
    model = Weighted("classification", target, scores, 0.5)
    (only,) = paired_bootstrap([model], 300, 10, 7, only=["recall"])
    (every,) = paired_bootstrap([model], 300, 10, 7)
    assert list(only) == ["recall"]
    np.testing.assert_array_equal(only["recall"], every["recall"])


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    truth = theirs.roc_auc_score(*drawn(400_000, seed=99))
    held = 0
    for seed in range(100):
        target, scores = drawn(600, seed)
        model = Weighted("classification", target, scores, 0.5)
        (found,) = paired_bootstrap([model], 600, 200, seed, only=["roc_auc"])
        low, high = interval(found["roc_auc"])
        held += low <= truth <= high
    assert 86 <= held <= 100  # 95 of 100 expected; fewer than 86 in a run has a chance below 1 in 1,000


def test_an_interval_leaves_out_what_is_not_defined():
    values = np.append(np.linspace(0, 1, 101), [np.nan] * 50)
    assert interval(values, 0.9) == pytest.approx((0.05, 0.95))
    assert all(math.isnan(end) for end in interval(np.full(3, np.nan)))
    assert all(math.isnan(end) for end in interval(np.empty(0)))
