"""Losses of one row between 0 and 1, for the alarm on the quality in production; their mean has exact bounds."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SMALLEST_PROBABILITY = 0.001  # of the class that came; a smaller one counts as this
ERROR_QUANTILE = 0.99  # of the test rows' absolute errors; a larger error counts as this one
LOSSES = {"classification": ("log_loss", "brier"), "regression": ("absolute_error",)}


def bounded_loss(name: str, target: Floats, scores: Floats, largest: float) -> Floats:
    """Return the loss of each row, of shape (n,), divided by the largest that it can be.

    Args:
        name: `log_loss`, clipped; `brier`, the squared error of the probability; or `absolute_error`, clipped.
        target: 0 and 1, or values, of shape (n,).
        scores: probabilities or values, of shape (n,).
        largest: the loss that counts as 1, from `largest_loss`.
    """
    if name == "absolute_error":
        loss = np.abs(scores - target)
    elif name == "brier":
        loss = (scores - target) ** 2
    else:
        right = np.where(target == 1, scores, 1 - scores)
        loss = -np.log(np.maximum(right, SMALLEST_PROBABILITY))
    share: Floats = np.clip(loss / largest, 0.0, 1.0)
    return share


def largest_loss(name: str, target: Floats, scores: Floats) -> float:
    """Return the loss that counts as 1; for `absolute_error` a quantile of these rows, above 0."""
    if name == "absolute_error":
        errors = np.abs(scores - target)
        return float(np.quantile(errors, ERROR_QUANTILE)) or 1.0
    return 1.0 if name == "brier" else float(-np.log(SMALLEST_PROBABILITY))
