"""The threshold of the decision, chosen on the validation rows."""

from __future__ import annotations

import numpy as np

from pipelines.cli.errors import InputError
from pipelines.config.selection import Threshold
from pipelines.metrics.table import Floats


def choose_threshold(target: Floats, scores: Floats, rule: Threshold | None) -> float:
    """Return the score from which on a row is predicted positive.

    Args:
        target: shape (n,), 0 and 1.
        scores: shape (n,), probabilities.
        rule: of params.yaml; without one F1 is maximised.

    Raises:
        InputError: if no threshold reaches the precision that params.yaml asks for.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, true_positives = scores[order], np.cumsum(target[order])
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True)
    flagged = np.arange(1, len(ordered) + 1)
    precision, recall = true_positives / flagged, true_positives / max(true_positives[-1], 1)
    if rule is None or rule.min_precision is None:
        quality = 2 * true_positives / (flagged + true_positives[-1])
    else:
        quality = np.where(precision >= rule.min_precision, recall, -1.0)
        if quality[last_of_tie].max() < 0:
            best = precision[last_of_tie].max()
            raise InputError(
                f"selection.threshold: no threshold reaches {rule.min_precision}; the best is {best:.3f}",
                "Lower selection.threshold.min_precision in params.yaml, or choose a better candidate.",
            )
    at = int(np.flatnonzero(last_of_tie)[np.argmax(quality[last_of_tie])])
    # Midway to the next score, so that rounding to six digits changes no decision.
    following = ordered[at + 1] if at + 1 < len(ordered) else 0.0
    return float((ordered[at] + following) / 2)
