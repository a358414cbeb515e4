import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.errors import InputError
from pipelines.cli.files import rounded
from pipelines.config.selection import Threshold
from pipelines.model.threshold import ThresholdChoice, choose_threshold

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=60).filter(
    lambda scored_rows: any(positive for positive, _ in scored_rows)
)


def f1(target: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    flagged = scores >= threshold
    return 2 * (flagged & (target == 1)).sum() / (flagged.sum() + target.sum())


@given(rows)
def test_no_other_threshold_has_a_better_f1(scored_rows: list[tuple[bool, int]]) -> None:
    target = np.array([float(positive) for positive, _ in scored_rows])
    scores = np.array([score / 20 for _, score in scored_rows])
    chosen = choose_threshold(target, scores, Threshold())
    best = max(f1(target, scores, other) for other in np.unique(scores))
    assert f1(target, scores, chosen) == pytest.approx(best)


@given(rows, st.integers(0, 3))
def test_no_other_threshold_costs_less(found: list[tuple[bool, int]], seed: int) -> None:
    target = np.array([float(positive) for positive, _ in found])
    scores = np.array([score / 20 for _, score in found])
    costs = np.random.default_rng(seed).integers(-5, 6, (len(found), 2)).astype(float)

    def cost(threshold: float) -> float:
        return float(np.where(scores >= threshold, costs[:, 1], costs[:, 0]).sum())

    chosen = choose_threshold(target, scores, Threshold(minimise="cost"), costs)
    assert cost(chosen) == pytest.approx(min(cost(other) for other in np.unique(scores)))


@given(rows, st.integers(0, 5))
def test_a_weighted_choice_is_that_of_repeated_rows(found: list[tuple[bool, int]], seed: int) -> None:
    target = np.array([float(positive) for positive, _ in found])
    scores = np.array([score / 20 for _, score in found])
    weights = np.random.default_rng(seed).integers(0, 3, len(found))
    if not (weights * target).any():
        return
    (chosen,) = ThresholdChoice(target, scores, Threshold())(weights[None, :].astype(np.float32))
    repeated = np.repeat(target, weights), np.repeat(scores, weights)
    again = choose_threshold(*repeated, Threshold())
    assert f1(*repeated, chosen) == pytest.approx(f1(*repeated, again))


@given(rows)
def test_rounding_the_threshold_to_six_digits_changes_no_decision(scored_rows: list[tuple[bool, int]]) -> None:
    target = np.array([float(positive) for positive, _ in scored_rows])
    scores = np.array([score / 20 for _, score in scored_rows])
    chosen = choose_threshold(target, scores, Threshold())
    assert ((scores >= chosen) == (scores >= rounded(chosen))).all()


def test_the_threshold_maximises_recall_at_a_minimum_precision() -> None:
    target = np.array([1.0, 1, 0, 1, 0, 0])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    rule = Threshold(maximise="recall", min_precision=0.75)
    assert choose_threshold(target, scores, rule) == pytest.approx(0.55)


def test_the_threshold_is_in_the_middle_between_the_last_flagged_row_and_the_next() -> None:
    target, scores = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.3, 0.7, 0.1])
    assert choose_threshold(target, scores, Threshold()) == pytest.approx(0.5)
    # Below the last row there is 0.
    assert choose_threshold(np.ones(2), scores[:2], Threshold()) == pytest.approx(0.15)


def test_an_unreachable_precision_is_refused_with_the_best_precision() -> None:
    rule = Threshold(maximise="recall", min_precision=0.9)
    with pytest.raises(InputError, match=r"the best is 0\.500"):
        choose_threshold(np.array([0.0, 1.0]), np.array([0.9, 0.1]), rule)
