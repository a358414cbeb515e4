"""The statistics of the monitor: tests of a window against a reference, and the two detectors that share the budget.

All functions take arrays of any leading shape, so that bench/watch.py can simulate many histories at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MIN_EXPECTED = 5
LISTED = 0.05  # the false discovery rate of the names that are listed
LARGEST_EVIDENCE = 1e12  # a larger one would overflow


def common_bins(counts: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Return the counts and the reference's shares, with bins in one of which fewer than 5 rows are expected.

    Args:
        counts: rows of each bin in a window, of shape (bins,).
        reference: rows of the same bins in the reference, of shape (bins,); at least one row in all.
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
