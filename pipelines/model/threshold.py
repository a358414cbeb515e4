"""The threshold of the decision, chosen on the validation rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.cli.errors import InputError
from pipelines.config.selection import Threshold

Floats = npt.NDArray[np.floating[Any]]


def choose_threshold(target: Floats, scores: Floats, rule: Threshold, costs: Floats | None = None) -> float:
    """The score from which on a row is predicted positive.

    Args:
        target: shape (n,), 0 and 1.
        scores: shape (n,), probabilities.
        costs: shape (n, 2), see `pipelines.config.metrics.Rows`; needed by `minimise: cost`.

    Raises:
        InputError: if no threshold reaches the precision that params.yaml asks for.
    """
    choice = ThresholdChoice(target, scores, rule, costs)
    threshold = float(choice(np.ones((1, len(target))))[0])
    if np.isnan(threshold):
        best = choice.best_precision()
        raise InputError(
            f"selection.threshold: no threshold reaches {rule.min_precision}; the best is {best:.3f}",
            "Lower selection.threshold.min_precision in params.yaml, or choose a better candidate.",
        )
    return threshold


class ThresholdChoice:
    """The threshold that a rule chooses on fixed rows, as a function of row weights."""

    def __init__(self, target: Floats, scores: Floats, rule: Threshold, costs: Floats | None = None) -> None:
        """Sort the rows; the arguments are those of `choose_threshold`."""
        self.rows = len(target)
        self._rule = rule
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._positive = target[self._order].astype(np.float32)
        self._saved = None if costs is None else (costs[:, 0] - costs[:, 1])[self._order]  # by predicting it positive
        self._last_of_tie = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        # Midway to the next score, so that rounding to six digits changes no decision.
        following = np.append(ordered[1:], 0.0)[self._last_of_tie]
        self._thresholds = (ordered[self._last_of_tie] + following) / 2

    def __call__(self, weights: Floats) -> Floats:
        """Thresholds of shape (b,) for weights of shape (b, n); NaN where none reaches the precision of the rule."""
        if self._rule.minimise:
            assert self._saved is not None, "minimise: cost needs costs"
            saved = np.cumsum(weights[:, self._order] * self._saved, axis=1)[:, self._last_of_tie]
            return np.asarray(self._thresholds[saved.argmax(axis=1)])
        flagged, caught = self._counts(weights)
        if self._rule.min_precision is None:
            quality = 2 * caught / (flagged + caught[:, -1:])
        else:
            with np.errstate(invalid="ignore"):
                reached = caught / flagged >= self._rule.min_precision
            quality = np.where(reached, caught, -1.0)
        best = quality.argmax(axis=1)
        chosen: Floats = np.where(quality.max(axis=1) >= 0, self._thresholds[best], np.nan)
        return chosen

    def best_precision(self) -> float:
        """The highest precision that any threshold reaches."""
        flagged, caught = self._counts(np.ones((1, len(self._order))))
        return float((caught / flagged).max())

    def _counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weight of the rows, and of the positives, from each threshold on; shape (b, thresholds)."""
        ordered = weights[:, self._order]
        flagged = np.cumsum(ordered, axis=1, dtype=np.float64)[:, self._last_of_tie]
        caught = np.cumsum(ordered * self._positive, axis=1, dtype=np.float64)[:, self._last_of_tie]
        return flagged, caught
