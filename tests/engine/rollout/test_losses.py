"""Comparing the losses of both arms' labelled rows, on simulated rollouts."""

import math

import numpy as np
import pytest

from pipelines.model.bounded_loss import bounded_loss, largest_loss
from pipelines.rollout.losses import Difference, LabelledRows, compare_losses

ROWS = 12_000
LOOKS = range(400, ROWS, 400)
ALPHA = 0.02


def compare(production: np.ndarray, canary: np.ndarray, percent: int) -> Difference:
    """The difference of rows whose labels came at an even pace in both arms."""
    first, second = (
        LabelledRows(arm, np.zeros(len(arm)), (np.arange(len(arm)) + 0.5) / max(len(arm), 1))
        for arm in (production, canary)
    )
    return compare_losses("x", first, second, percent, ALPHA)


def losses(generator: np.random.Generator, rows: int, skill: float) -> np.ndarray:
    """The log losses of a model of a rare class that knows so much of each row's probability."""
    truth = generator.beta(1, 9, rows)
    target = (generator.random(rows) < truth).astype(float)
    scores = skill * truth + (1 - skill) * 0.1
    return bounded_loss("log_loss", target, scores, largest_loss("log_loss", target, scores))


def outcomes(skills: tuple[float, float], percent: int, runs: int, seed: int) -> tuple[float, float]:
    """How often the canary is found worse, and better, at any look; `skills` are production's and the canary's."""
    generator = np.random.default_rng(seed)
    worse = better = 0
    for _ in range(runs):
        rows = ROWS * (100 - percent) // percent
        production, canary = losses(generator, rows, skills[0]), losses(generator, ROWS, skills[1])
        looks = [compare(production[: n * rows // ROWS], canary[:n], percent) for n in LOOKS]
        worse += any(look.low > 0 for look in looks)
        better += any(look.high < 0 for look in looks)
    return worse / runs, better / runs


@pytest.mark.parametrize("percent", [50, 10])
def test_equal_arms_are_not_told_apart_at_any_look(percent: int) -> None:
    worse, better = outcomes((0.5, 0.5), percent, runs=60, seed=1)
    assert worse + better <= ALPHA


def test_better_model_is_found_better_and_a_worse_one_worse() -> None:
    assert outcomes((-1.0, 1.0), 50, runs=10, seed=2) == (0, 1)
    assert outcomes((1.0, -1.0), 50, runs=10, seed=3) == (1, 0)


def test_what_changes_for_both_arms_makes_no_difference() -> None:
    """In the second half of the time every row of both is lost."""
    loss = np.repeat([0.05, 0.9], ROWS // 2) + np.random.default_rng(4).normal(0, 0.02, ROWS)
    compared = compare(np.repeat(loss, 3), loss, 25)
    assert compared.low < 0 < compared.high
    assert compared.high - compared.low < 0.02


@pytest.mark.parametrize("share", [0.35, 0.5, 0.65])
def test_share_other_than_the_promised_one_makes_no_difference(share: float) -> None:
    """With `sticky`, or after an hour without a watch; in the second half of the time every row of both is lost."""
    generator = np.random.default_rng(6)
    times = np.arange(2 * ROWS) / ROWS
    loss = np.where(times < 1, 0.05, 0.4) + generator.normal(0, 0.02, len(times))
    is_canary = generator.random(len(times)) < share
    production, canary = (LabelledRows(loss[rows], times[rows], times[rows]) for rows in (~is_canary, is_canary))
    compared = compare_losses("x", production, canary, 50, ALPHA)
    assert compared.low < 0 < compared.high


def test_rows_of_one_arm_alone_show_nothing() -> None:
    empty, some = np.empty(0), np.full(500, 0.9)
    for production, canary in ((empty, some), (some, empty), (empty, empty), (some[:3], some)):
        compared = compare(production, canary, 5)
        assert (compared.low, compared.high) == (-1, 1)


def test_bounds_contain_the_known_difference() -> None:
    generator = np.random.default_rng(5)
    compared = compare(generator.beta(2, 8, 40_000), generator.beta(4, 6, 40_000), 50)
    assert compared.low < 0.2 < compared.high
    assert compared.low > 0.18 and compared.high < 0.22
    assert "40,000 labelled rows" in str(compared)
    assert math.isclose(compared.means[1] - compared.means[0], 0.2, abs_tol=0.01)
