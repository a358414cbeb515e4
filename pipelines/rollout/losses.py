"""The losses of both arms' labelled rows: a confidence sequence of how much higher those of the canary are."""

import math
from dataclasses import dataclass

import numpy as np

from pipelines.rollout.judge import Floats

_LARGEST_STAKE = 0.5
_ROWS = 2  # of the canary in a block, on average


@dataclass(frozen=True)
class LabelledRows:
    """The losses of an arm's labelled rows, from 0 to 1, and when each became known and was asked; of shape (n,)."""

    losses: Floats
    known: Floats
    asked: Floats


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


def compare_losses(loss: str, production: LabelledRows, canary: LabelledRows, percent: int, alpha: float) -> Difference:
    """Return the difference of the mean losses of both arms.

    Both arms are compared within small blocks of rows that became known one after the other. So what changes for both
    arms, such as the hour, does not count, whatever share the canary really got, and later rows change no full block.
    The bounds are those of the empirical Bernstein confidence sequence with predictable stakes (Waudby-Smith and
    Ramdas, arXiv 2010.09686, theorem 2), on the differences moved to the interval from 0 to 1; alpha is the chance that
    the difference is ever outside.
    """
    rows = len(production.losses), len(canary.losses)
    means = (
        float(np.mean(production.losses)) if rows[0] else math.nan,
        float(np.mean(canary.losses)) if rows[1] else math.nan,
    )
    values = (_compare_blocks(production, canary, round(_ROWS * 100 / percent)) + 1) / 2
    if not len(values):
        return Difference(loss, rows, means, -1.0, 1.0)
    number = np.arange(1, len(values) + 1)
    mean = (0.5 + np.cumsum(values)) / (number + 1)
    variance = (0.25 + np.cumsum((values - mean) ** 2)) / (number + 1)
    mean_before, variance_before = np.append(0.5, mean[:-1]), np.append(0.25, variance[:-1])
    wanted = np.sqrt(2 * math.log(2 / alpha) / (variance_before * number * np.log1p(number)))
    stakes = np.minimum(wanted, _LARGEST_STAKE)
    spread = ((values - mean_before) ** 2 * (-np.log1p(-stakes) - stakes)).sum()
    centre, half = (stakes * values).sum() / stakes.sum(), (math.log(2 / alpha) + spread) / stakes.sum()
    low, high = max(2 * (centre - half) - 1, -1.0), min(2 * (centre + half) - 1, 1.0)
    return Difference(loss, rows, means, float(low), float(high))


def _compare_blocks(production: LabelledRows, canary: LabelledRows, size: int) -> Floats:
    """Return the canary's mean loss less production's of each full block that has rows of both.

    Which row of a block is the canary's does not depend on its loss if the arms are equal.
    """
    losses, known, asked = (
        np.concatenate([getattr(production, name), getattr(canary, name)]) for name in ("losses", "known", "asked")
    )
    is_canary = np.repeat([0.0, 1.0], [len(production.losses), len(canary.losses)])
    full = len(losses) // size * size
    order = np.lexsort((asked, known))[:full]
    values, arms = losses[order].reshape(-1, size), is_canary[order].reshape(-1, size)
    rows = arms.sum(axis=1)
    both = (rows > 0) & (rows < size)
    values, arms, rows = values[both], arms[both], rows[both]
    differences: Floats = (values * arms).sum(axis=1) / rows - (values * (1 - arms)).sum(axis=1) / (size - rows)
    return differences
