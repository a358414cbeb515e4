"""What the test rows promised of a version, and the evidence that production breaks the promise.

The alarm is an e-detector over a betting e-value of each pass (Waudby-Smith and Ramdas, arXiv 2010.09686; Shin, Ramdas
and Rinaldo, arXiv 2203.03532): on average it raises at most one false alarm in the passes of `quality.false_alarms`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.config.metrics import METRICS
from pipelines.model.profile import Profile
from pipelines.monitor.detectors import LARGEST_EVIDENCE
from pipelines.repository.lineage import json_at

Floats = npt.NDArray[np.float64]
# Of the two losses of a classification, this one has twice the evidence when fraudsters change: docs/monitoring.md.
LOSS = {"classification": "log_loss", "regression": "absolute_error"}
_STAKES = 0.5 ** np.arange(1, 9)  # shares of what can be lost in a bet
_Z = 1.96


@dataclass(frozen=True)
class Limit:
    """The largest mean loss that keeps the promise, and the loss that counts as 1."""

    mean: float
    largest: float


def find_limit(profile: Profile, task: str, tolerance: float | str) -> Limit | None:
    """Return the upper bound of the promise's 95 % confidence interval plus the tolerance; None without a promise."""
    promised = profile.promise.losses.get(LOSS[task]) if profile.promise else None
    if promised is None:
        return None
    if isinstance(tolerance, str):
        allowed = promised.mean * float(tolerance.rstrip("%")) / 100
    else:
        allowed = tolerance / promised.largest
    return Limit(promised.mean + _Z * promised.standard_error + allowed, promised.largest)


def betting_evidence(loss: Floats, limit: float, blocks: int) -> float:
    """Return an e-value against a mean loss of at most `limit`: what bets on larger losses make of a stake of 1.

    It is the mean over eight stakes, from half of what can be lost in a bet to its 256th part. A bet is on the mean
    loss of a block of rows, because rows of one cause come together: with ten rows of one fraud each, bets on single
    rows alarmed falsely in one of 39 passes where one in 200 was set, and bets on 168 blocks a week in none of 5,200.

    Args:
        loss: between 0 and 1, of shape (n,), in the order of time.
        limit: between 0 and 1.
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
    and this bound, set to one in 200, in one. Bets on the blocks would see large differences
    only.

    Args:
        values: of shape (n,), in the order of time; at least two rows.
        blocks: number of blocks of equally many rows.
    """
    from scipy.stats import t

    means = _block_means(values, blocks)
    return float(means.mean() - t.isf(1 / one_in, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means)))


def _block_means(values: Floats, blocks: int) -> Floats:
    return np.array([block.mean() for block in np.array_split(values, min(blocks, len(values)))])


def promised_metrics(commit: str) -> dict[str, float]:
    """Return the metrics of the test rows in reports/metrics.json of a version's commit; empty if it has none."""
    promised = json_at(commit, "reports/metrics.json").get("test")
    numbers = promised.items() if isinstance(promised, dict) else ()
    return {name: float(value) for name, value in numbers if name in METRICS and isinstance(value, int | float)}
