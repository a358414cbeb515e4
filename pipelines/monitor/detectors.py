"""The statistics of the monitor: tests of a window against a reference, and the evidence that adds up over passes.

bench/watch.py simulates many histories at once, so tests and detectors of drift take arrays of any leading shape.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MIN_EXPECTED = 5
LISTED = 0.05  # the false discovery rate of the names that are listed
LARGEST_EVIDENCE = 1e12  # a larger one would overflow
_STAKES = 0.5 ** np.arange(1, 9)  # shares of what can be lost in a bet


def common_bins(counts: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Return the counts and the reference's shares, with bins in one of which fewer than 5 rows are expected.

    Both arguments are rows of the same bins, of shape (bins,).
    """
    shares = reference / reference.sum()
    rare = shares * counts.sum() < MIN_EXPECTED
    if rare.any() and not rare.all() and shares[rare].sum() * counts.sum() < MIN_EXPECTED:
        rare[np.argmin(np.where(rare, np.inf, shares))] = True
    pooled = [np.append(values[~rare], values[rare].sum()) if rare.any() else values for values in (counts, shares)]
    return pooled[0], pooled[1]


def shift_p_value(counts: Floats, shares: Floats, tolerance: Any) -> Any:
    """Return the p-value of Pearson's chi-square under a population that differs from `shares` by `tolerance`.

    That is the noncentral chi-square with noncentrality rows times tolerance (population resemblance statistic,
    arXiv 2307.11878).

    Args:
        counts: shape (..., bins).
        shares: shape (bins,) or (..., bins).
        tolerance: PSI; a number, or of shape (...).
    """
    from scipy.stats import ncx2

    rows = counts.sum(axis=-1)
    expected = rows[..., None] * shares
    statistic = ((counts - expected) ** 2 / expected).sum(axis=-1)
    freedom = counts.shape[-1] - 1
    if freedom == 0:
        return np.ones_like(statistic)
    noncentrality = np.asarray(rows * tolerance)
    mean, deviation = freedom + noncentrality, np.sqrt(2 * (freedom + 2 * noncentrality))
    # SciPy overflows far below the mean, where the p-value is 1.
    inner = np.maximum(statistic, mean - 4 * deviation)
    p_values = np.where(statistic < inner, 1.0, ncx2.sf(inner, freedom, noncentrality))
    return np.clip(np.nan_to_num(p_values, nan=1.0), 0.0, 1.0)


def sampling_error(bins: int, rows: float) -> float:
    """Return the PSI by which a reference of so many rows may differ from its population."""
    return 2 * (bins - 1) / rows


def psi(counts: Floats, reference: Floats) -> float:
    """Return the population stability index; an empty bin counts as half a row."""
    q, p = (np.maximum(values, 0.5) / np.maximum(values, 0.5).sum() for values in (counts, reference))
    return float(((q - p) * np.log(q / p)).sum())


def excess_p_value(count: int, rows: int, reference_count: int, reference_rows: int, tolerance: float) -> float:
    """Return the p-value of `count` rows of a kind in a window, if the reference has `reference_count` of them.

    It is the predictive distribution of a Poisson count with an unknown rate (negative binomial), at the largest rate
    whose PSI from the reference's is the tolerance.
    """
    from scipy.stats import nbinom

    share = min((reference_count + 1) / (reference_rows + 1), 1.0)
    highest = 1 + np.sqrt(tolerance * (1 - share) / share)
    return float(nbinom.sf(count - 1, reference_count + 1, 1 / (1 + rows * highest / reference_rows)))


def volume_p_value(rows: int, earlier: Sequence[int]) -> float:
    """Return the two-sided p-value of a pass's rows among those of earlier passes: a prediction on the log scale.

    The scatter of the earlier passes counts as 5 % at least: a few that are alike by chance prove nothing.
    """
    from scipy.stats import t

    logs = np.log(np.maximum(np.asarray(earlier, dtype=np.float64), 0.5))
    scatter = max(float(logs.std(ddof=1)), 0.05, max(sum(earlier) / len(earlier), 1.0) ** -0.5)
    distance = abs(np.log(max(rows, 0.5)) - logs.mean()) / (scatter * np.sqrt(1 + 1 / len(logs)))
    return float(2 * t.sf(distance, len(logs) - 1))


def e_value(p_value: Any) -> Any:
    """Return the e-value of a p-value, 1 / (2 sqrt(p))."""
    return 0.5 / np.sqrt(np.maximum(np.asarray(p_value), LARGEST_EVIDENCE**-1))


def add_evidence(evidence: Any, new: Any, limit: float = LARGEST_EVIDENCE) -> Any:
    """Return the e-detector after a pass with the e-value `new`, M = (M + 1) e (Shin et al., arXiv 2203.03532).

    Args:
        limit: evidence above it is not carried on, so that an alarm ends soon after its cause. Less evidence raises no
            false alarm more.
    """
    return np.minimum((np.minimum(evidence, limit) + 1) * new, LARGEST_EVIDENCE)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, which control the chance of any false alarm among them."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1))
    return list(map(float, np.minimum(adjusted, 1.0)))


def list_shifted(p_values: Sequence[float]) -> list[bool]:
    """Return which names Benjamini and Hochberg's rule lists: at most 5 % of them falsely, on average."""
    from scipy.stats import false_discovery_control

    return [bool(p <= LISTED) for p in false_discovery_control(p_values)] if p_values else []


def betting_evidence(loss: Floats, limit: float, blocks: int) -> float:
    """Return an e-value against a mean loss of at most `limit`: what bets on larger losses make of a stake of 1.

    The quality alarm is an e-detector over this value of each pass (Waudby-Smith and Ramdas, arXiv 2010.09686). It is
    the mean over eight stakes, from half of what can be lost in a bet to its 256th part. A bet is on the mean loss of a
    block of rows, because rows of one cause come together: with ten rows of one fraud each, bets on single rows alarmed
    falsely in one of 39 passes where one in 200 was set, and bets on 168 blocks a week in none of 5,200.

    Args:
        loss: between 0 and 1 as `limit`, of shape (n,), in the order of time.
        blocks: number of blocks of equally many rows.
    """
    if not 0 < limit < 1:
        return 1.0
    means = _block_means(loss, blocks)
    gains = [np.log1p(stake / limit * (means - limit)).sum() for stake in _STAKES]
    return float(np.exp(min(np.logaddexp.reduce(gains) - math.log(len(gains)), math.log(LARGEST_EVIDENCE))))


def mean_lower_bound(values: Floats, blocks: int, one_in: float) -> float:
    """Return the lower bound of a mean loss, or of a mean difference, that is too high at most once in so many passes.

    It is Student's bound over the means of blocks of rows, because rows of one cause come together: of two models that
    are equally good, bets on single rows preferred the previous one in 16 of 200 passes with eight rows of each fraud,
    and this bound, set to one in 200, in one. Bets on the blocks would see large differences only.
    Values and blocks are those of `betting_evidence`, with at least two rows.
    """
    from scipy.stats import t

    means = _block_means(values, blocks)
    return float(means.mean() - t.isf(1 / one_in, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means)))


def _block_means(values: Floats, blocks: int) -> Floats:
    number = min(blocks, len(values))
    starts = np.arange(number) * len(values) // number
    means: Floats = np.add.reduceat(values, starts) / np.diff(starts, append=len(values))
    return means
