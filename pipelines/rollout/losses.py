"""The losses of both arms' labelled rows: a confidence sequence of how much higher those of the canary are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.rollout.judge import Floats

_LARGEST_STAKE = 0.5


@dataclass(frozen=True)
class Difference:
    """The mean loss of the canary's rows less that of production's, as shares of the largest loss.

    Attributes:
        loss: its name.
        rows: of production and of the canary.
        means: of production and of the canary.
        low, high: bounds of the difference that hold at all looks together.
    """

    loss: str
    rows: tuple[int, int]
    means: tuple[float, float]
    low: float
    high: float

    def __str__(self) -> str:
        """Return the numbers in words."""
        (production, canary), (production_rows, canary_rows) = self.means, self.rows
        return (
            f"{self.loss} (as a share of the largest) {canary:.4f} on {canary_rows:,} labelled rows of the canary, "
            f"{production:.4f} on {production_rows:,} of production, difference between {self.low:+.4f} and "
            f"{self.high:+.4f}"
        )


def compare_losses(loss: str, production: Floats, canary: Floats, percent: int, alpha: float) -> Difference:
    """Return the difference of the mean losses of both arms.

    Each row of the canary is compared with the mean of as many rows of production as the shares of the requests
    give it. So what changes for both arms, such as the hour, does not count, and rows that come later change no pair.
    The bounds are those of the empirical Bernstein confidence sequence with predictable stakes (Waudby-Smith and
    Ramdas, arXiv 2010.09686, theorem 2), on the differences moved to the interval from 0 to 1.

    Args:
        loss: name of the loss.
        production: loss of each row between 0 and 1, of shape (n,), in the order in which the labels came.
        canary: as `production`, of shape (m,).
        percent: the canary's share of the requests.
        alpha: chance that the difference is ever outside.
    """
    per_row = max(round((100 - percent) / percent), 1)
    pairs = min(len(canary), len(production) // per_row)
    rows = len(production), len(canary)
    means = float(np.mean(production)) if rows[0] else math.nan, float(np.mean(canary)) if rows[1] else math.nan
    if not pairs:
        return Difference(loss, rows, means, -1.0, 1.0)
    values = (canary[:pairs] - production[: pairs * per_row].reshape(pairs, per_row).mean(axis=1) + 1) / 2
    number = np.arange(1, pairs + 1)
    mean = (0.5 + np.cumsum(values)) / (number + 1)
    variance = (0.25 + np.cumsum((values - mean) ** 2)) / (number + 1)
    mean_before, variance_before = np.append(0.5, mean[:-1]), np.append(0.25, variance[:-1])
    wanted = np.sqrt(2 * math.log(2 / alpha) / (variance_before * number * np.log1p(number)))
    stakes = np.minimum(wanted, _LARGEST_STAKE)
    spread = ((values - mean_before) ** 2 * (-np.log1p(-stakes) - stakes)).sum()
    centre, half = (stakes * values).sum() / stakes.sum(), (math.log(2 / alpha) + spread) / stakes.sum()
    return Difference(loss, rows, means, float(2 * (centre - half) - 1), float(2 * (centre + half) - 1))
