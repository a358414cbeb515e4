"""The judge of a canary: errors, latency and scores of two arms, at every look, with stated rates of wrong decisions.

A canary that equals production is aborted with a chance of at most ALPHA over all tests, steps and looks, unless
production itself is slower than the limit; one that is worse by a limit or more is promoted with a chance of at most
ALPHA. Both hold at whatever rate production itself fails.
All functions take arrays of any leading shape, so that tests can simulate many rollouts at once.

Sources: the mixture of binomial likelihood ratios and the beta-binomial confidence sequence are Robbins' (1970; Howard,
Ramdas, McAuliffe and Sekhon, arXiv 1810.08240); that sampling without replacement only lowers the mean of a convex
function is Hoeffding's theorem 4 (1963).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config.rollout import Limits

Floats = npt.NDArray[np.float64]
ALPHA = 0.02
PRODUCTION, CANARY = 0, 1  # positions of the arms
_TESTS = 4  # errors (or rows), latency, scores, and the losses of rows with a label
# How many times more often than production's a canary's request fails: the alternatives that errors are tested against.
_RATIOS = np.array([1.25, 1.5, 2, 3, 5, 10, 30, 100, 1000])
_P99 = 0.01
_HALVINGS = 40


@dataclass(frozen=True)
class Counts:
    """What happened since the last look, or since the step began; the last axis of `requests` is the arm.

    Attributes:
        requests: shape (..., 2).
        errors: requests that ended with an error or a time-out, shape (..., 2).
        timed: requests whose latency is known, shape (..., 2).
        slow: those above the limit on the 99th percentile, shape (..., 2).
        scores: predictions by bin of the score, shape (..., 2, bins).
    """

    requests: Floats
    errors: Floats
    timed: Floats
    slow: Floats
    scores: Floats

    def __add__(self, other: Counts) -> Counts:
        """Return the sum of two looks."""
        return Counts(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Evidence:
    """All that a step's judgement rests on: the counts since it began, and the bets that its errors won.

    A bet is the logarithm of what one on each alternative of the error rate made of a stake of 1, shape (..., 9).
    """

    counts: Counts
    bets: Floats


@dataclass(frozen=True)
class Judgement:
    """Name of each test -> whether the canary is worse, and whether it is within the limit, with evidence."""

    worse: dict[str, Any]
    within: dict[str, Any]


REASONS = {
    "errors": "its requests fail more often than production's",
    "requests": "it has fewer than half of the requests that its share promises: its requests fail, or it gets too few",
    "latency": "more than 1 in 100 of its requests take longer than rollout.limits.p99_ms",
    "scores": "its scores are further from production's than rollout.limits.scores",
}


def start(bins: int, shape: tuple[int, ...] = ()) -> Evidence:
    """Return the evidence of a step that begins, for scores in so many bins."""
    arms = np.zeros((*shape, 2))
    return Evidence(Counts(arms, arms, arms, arms, np.zeros((*shape, 2, bins))), np.zeros((*shape, len(_RATIOS))))


def add(evidence: Evidence, look: Counts) -> Evidence:
    """Return the evidence after another look.

    Given that requests failed, which arm had them: if both arms fail equally often, a failed request is the canary's
    with the canary's share of the requests, whatever the rate. Each look has its own share, since weights change.
    """
    share = look.requests[..., CANARY] / np.maximum(look.requests.sum(axis=-1), 1)
    possible = (share > 0) & (share < 1)
    share = np.where(possible, share, 0.5)[..., None]
    under = _RATIOS * share / (1 + (_RATIOS - 1) * share)
    failed = np.where(possible[..., None], look.errors, 0)
    won = failed[..., CANARY, None] * np.log(under / share)
    lost = failed[..., PRODUCTION, None] * np.log((1 - under) / (1 - share))
    return Evidence(evidence.counts + look, evidence.bets + won + lost)


def alpha_of_test(steps: int) -> float:
    """Return the chance of a wrong abort that one test of one step has, so that all together have ALPHA."""
    return ALPHA / _TESTS / steps


def judge(evidence: Evidence, limits: Limits, steps: int) -> Judgement:
    """Return what the evidence shows so far of a step of a rollout with so many."""
    counts, alpha = evidence.counts, alpha_of_test(steps)
    largest = evidence.bets.max(axis=-1)
    mixture = largest + np.log(np.exp(evidence.bets - largest[..., None]).mean(axis=-1))
    low, high = confidence_sequence(counts.errors, counts.requests, ALPHA / 2)
    slow, timed = counts.slow[..., CANARY], counts.timed[..., CANARY]
    worse = {
        "errors": mixture >= np.log(1 / alpha),
        "latency": confidence_sequence(slow, timed, alpha)[0] > _P99,
        "scores": _distance(counts.scores, alpha / max(counts.scores.shape[-1] - 1, 1))[0] > limits.scores,
    }
    within = {
        "errors": high[..., CANARY] - low[..., PRODUCTION] < limits.errors,
        "latency": confidence_sequence(slow, timed, ALPHA)[1] < _P99,
        "scores": _distance(counts.scores, ALPHA)[1] < limits.scores,
    }
    return Judgement(worse, within)


def confidence_sequence(successes: Floats, trials: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Return the bounds of a rate, of any shape, that hold at all looks together with a chance of 1 - alpha."""
    from scipy.special import betaln, xlog1py, xlogy

    mixture = betaln(successes + 0.5, trials - successes + 0.5) - betaln(0.5, 0.5) + np.log(alpha)
    rate = np.where(trials > 0, successes / np.maximum(trials, 1), 0.5)

    def search(inside: Floats, outside: Floats) -> Floats:
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            is_inside = mixture < xlogy(successes, middle) + xlog1py(trials - successes, -middle)
            inside, outside = np.where(is_inside, middle, inside), np.where(is_inside, outside, middle)
        return outside

    return search(rate, np.zeros_like(rate)), search(rate, np.ones_like(rate))


def _distance(scores: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Return bounds of the largest difference between the arms' shares of scores up to an edge, over all edges."""
    below = np.cumsum(scores, axis=-1)[..., :-1]
    low, high = confidence_sequence(below, np.broadcast_to(scores.sum(axis=-1)[..., None], below.shape), alpha / 2)
    up = low[..., CANARY, :] - high[..., PRODUCTION, :], high[..., CANARY, :] - low[..., PRODUCTION, :]
    least = np.maximum(np.maximum(up[0], -up[1]), 0)
    return least.max(axis=-1, initial=0), np.maximum(np.abs(up[0]), np.abs(up[1])).max(axis=-1, initial=0)
