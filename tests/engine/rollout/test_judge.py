"""The judge of a canary, on simulated rollouts: 2,000 for each rate of errors, all at once in one array."""

import numpy as np
import pytest
from scipy.stats import beta

from pipelines.config.rollout import Limits
from pipelines.rollout.judge import Counts, Evidence, add, confidence_sequence, judge, start

RUNS = 2000
LIMITS = Limits(errors=0.02, scores=0.1)
SHARES = np.array([0.6, 0.2, 0.1, 0.06, 0.04])  # of the bins of the score
STEPS = (5, 25)


def look(
    generator: np.random.Generator,
    requests: int,
    percent: float,
    errors: tuple[float, float],
    slow: tuple[float, float] = (0.002, 0.002),
    scores: tuple[np.ndarray, np.ndarray] = (SHARES, SHARES),
    runs: int = RUNS,
) -> Counts:
    """What one look counts, in so many rollouts."""
    canary = generator.binomial(requests, percent / 100, runs)
    arms = np.stack([requests - canary, canary], axis=-1)
    binned = np.stack([generator.multinomial(arms[:, arm], scores[arm]) for arm in (0, 1)], axis=1)
    failed, late = generator.binomial(arms, errors), generator.binomial(arms, slow)
    return Counts(*(values.astype(float) for values in (arms, failed, arms, late, binned)))


def simulate(rate: float, extra: float, seed: int, runs: int = RUNS) -> dict[str, int]:
    """How many rollouts end in which way, with looks at 2,000 requests each and at most 40 looks a step."""
    generator = np.random.default_rng(seed)
    aborted, going = np.zeros(runs, bool), np.ones(runs, bool)
    for percent in STEPS:
        evidence, passed = start(len(SHARES), (runs,)), np.zeros(runs, bool)
        for _ in range(40):
            evidence = add(evidence, look(generator, 2000, percent, (rate, rate + extra), runs=runs))
            judgement = judge(evidence, LIMITS, len(STEPS))
            waiting = going & ~passed
            aborted |= waiting & np.any(list(judgement.worse.values()), axis=0)
            going &= ~aborted
            enough = evidence.counts.requests[..., 1] >= 1000
            passed |= going & enough & np.all(list(judgement.within.values()), axis=0)
            if not (going & ~passed).any():
                break
        going &= passed
    return {"promoted": int(going.sum()), "aborted": int(aborted.sum())}


def lower_bound(successes: int, trials: int) -> float:
    """The lower 95 % bound of a rate, by Clopper and Pearson."""
    return float(beta.ppf(0.05, successes, trials - successes + 1))


@pytest.mark.watch
@pytest.mark.parametrize("rate", [0.0, 0.005, 0.01, 0.02])
def test_equal_canary_is_promoted_and_a_worse_one_aborted(rate: float) -> None:
    assert lower_bound(simulate(rate, 0.0, seed=1)["promoted"], RUNS) >= 0.95
    assert lower_bound(simulate(rate, 0.02, seed=2)["aborted"], RUNS) >= 0.95


def decide(counts: Counts, steps: int = 2) -> tuple[set[str], set[str]]:
    """The tests that show that a canary is worse, and those that show that it is within the limits."""
    judgement = judge(add(start(counts.scores.shape[-1]), counts), LIMITS, steps)
    return {name for name, is_worse in judgement.worse.items() if is_worse}, {
        name for name, is_within in judgement.within.items() if is_within
    }


def one_look(
    requests: tuple[int, int] = (9500, 500),
    errors: tuple[int, int] = (0, 0),
    slow: tuple[int, int] = (0, 0),
    scores: tuple[np.ndarray, np.ndarray] = (SHARES, SHARES),
) -> Counts:
    """The counts of one look at one rollout."""
    arms = np.array(requests, float)
    binned = np.stack([scores[arm] * requests[arm] for arm in (0, 1)])
    return Counts(arms, np.array(errors, float), arms, np.array(slow, float), binned)


def test_nothing_is_decided_without_requests() -> None:
    assert decide(one_look((0, 0))) == (set(), set())
    assert decide(one_look((5000, 0))) == (set(), set())


def test_few_requests_show_nothing() -> None:
    assert decide(one_look((950, 50))) == (set(), set())


def test_three_errors_of_the_canary_alone_end_it() -> None:
    worse, _ = decide(one_look(errors=(0, 3)))
    assert worse == {"errors"}


def test_errors_of_both_arms_alike_end_nothing() -> None:
    worse, within = decide(one_look((95_000, 5000), errors=(1900, 100)))
    assert (worse, within) == (set(), {"errors", "latency", "scores"})


def test_slow_canary_is_worse_whatever_production_does() -> None:
    worse, within = decide(one_look(slow=(9000, 20)))
    assert worse == {"latency"}
    assert "latency" not in within


def test_latency_at_the_limit_is_neither() -> None:
    worse, within = decide(one_look((95_000, 5000), slow=(0, 50)))
    assert "latency" not in worse | within


def test_shifted_scores_are_worse() -> None:
    worse, _ = decide(one_look((9500, 1500), scores=(SHARES, SHARES[::-1])))
    assert worse == {"scores"}


def test_small_shift_of_the_scores_is_within_the_limit() -> None:
    shifted = SHARES + np.array([-0.02, 0.02, 0, 0, 0])
    worse, within = decide(one_look((95_000, 5000), scores=(SHARES, shifted)))
    assert (worse, within) == (set(), {"errors", "latency", "scores"})


def test_errors_count_by_the_share_of_their_look() -> None:
    """The canary's share grew while production failed less: the totals alone would accuse the canary."""
    evidence = start(len(SHARES))
    evidence = add(evidence, one_look((95_000, 5000), errors=(950, 50)))
    evidence = add(evidence, one_look((50_000, 50_000), errors=(5, 5)))
    assert not judge(evidence, LIMITS, 2).worse["errors"]


def test_all_requests_to_one_arm_prove_nothing_about_errors() -> None:
    counts = one_look((0, 1000), errors=(0, 500))
    assert not judge(add(start(len(SHARES)), counts), LIMITS, 2).worse["errors"]


def test_looks_add_up() -> None:
    whole = add(start(len(SHARES)), one_look((19_000, 1000), errors=(10, 4)))
    half = one_look(errors=(5, 2))
    twice = add(add(start(len(SHARES)), half), half)
    assert isinstance(twice, Evidence)
    np.testing.assert_allclose(twice.bets, whole.bets)
    for name, value in vars(whole.counts).items():
        np.testing.assert_allclose(getattr(twice.counts, name), value)


@pytest.mark.parametrize("rate", [0.003, 0.3])
def test_confidence_sequence_holds_at_all_looks_together(rate: float) -> None:
    generator = np.random.default_rng(5)
    looks = generator.binomial(40, rate, (400, 100)).cumsum(axis=1).astype(float)
    trials = np.broadcast_to(40.0 * np.arange(1, 101), looks.shape)
    low, high = confidence_sequence(looks, trials, 0.1)
    missed = ((low > rate) | (high < rate)).any(axis=1).mean()
    assert missed <= 0.1
    assert (high - low)[:, -1].max() < 0.15


def test_confidence_sequence_of_nothing_is_everything() -> None:
    low, high = confidence_sequence(np.zeros(1), np.zeros(1), 0.05)
    assert (float(low[0]), float(high[0])) == (0.0, 1.0)
