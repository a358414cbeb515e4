"""Points of the plots, at most 200 for each. A plot's name is y_by_x: y is drawn over x."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipelines.config.metrics import CALIBRATION_BINS, Floats

POINTS = 200
Points = list[tuple[float, float]]


def curves(task: str, target: Floats, scores: Floats) -> dict[str, Points]:
    """The line plots of a task, as a mapping name -> points (x, y)."""
    if task == "regression":
        return {
            "observed_by_predicted": _by_quantile(scores, target),
            "absolute_residual_by_predicted": _by_quantile(scores, np.abs(target - scores)),
        }
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True)
    caught = np.cumsum(target[order])[last_of_tie]
    flagged = (np.arange(len(order)) + 1)[last_of_tie]
    positives, negatives = max(caught[-1], 1), max(len(target) - caught[-1], 1)
    # The curves change where positives are caught, so points at equal steps of recall show their shape.
    chosen = _thin(caught / positives)
    precision = (caught / flagged)[chosen]
    recall = (caught / positives)[chosen]
    false_rate = ((flagged - caught) / negatives)[chosen]
    return {
        "precision_by_recall": list(zip(recall, precision, strict=True)),
        "true_by_false_positive_rate": [(0.0, 0.0), *zip(false_rate, recall, strict=True), (1.0, 1.0)],
        "observed_by_predicted": _calibration(target, scores),
    }


def bars(task: str, target: Floats, scores: Floats, threshold: float | None) -> dict[str, list[tuple[str, float]]]:
    """The bar plots of a task, as a mapping name -> bars (label, length)."""
    if task == "regression":
        return {"rows_by_residual": _histogram(target - scores), "rows_by_prediction": _histogram(scores)}
    assert threshold is not None
    decided = scores >= threshold
    outcomes = {
        "positive, caught": decided & (target == 1),
        "positive, missed": ~decided & (target == 1),
        "negative, flagged": decided & (target == 0),
        "negative, passed": ~decided & (target == 0),
    }
    return {
        "rows_by_outcome": [(name, int(rows.sum())) for name, rows in outcomes.items()],
        "rows_by_score": _histogram(scores, 0.0, 1.0),
    }


def _thin(position: Floats) -> np.ndarray:
    """Indices of at most about 200 points, evenly spread along `position`, which rises from 0 to 1."""
    wanted = np.linspace(0, 1, POINTS - 3)
    indices: np.ndarray = np.unique(np.minimum(np.searchsorted(position, wanted), len(position) - 1))
    return indices


def _calibration(target: Floats, scores: Floats) -> Points:
    bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        (float(scores[bins == i].mean()), float(target[bins == i].mean()))
        for i in range(CALIBRATION_BINS)
        if (bins == i).any()
    ]


def _by_quantile(x: Floats, y: Floats, parts: int = 20) -> Points:
    """Means of x and y over equal parts of the rows, ordered by x."""
    order = np.argsort(x, kind="stable")
    return [(float(x[part].mean()), float(y[part].mean())) for part in np.array_split(order, parts) if len(part)]


def _histogram(
    values: Floats, low: float | None = None, high: float | None = None, bins: int = 20
) -> list[tuple[str, float]]:
    span = (float(values.min()) if low is None else low, float(values.max()) if high is None else high)
    counts, edges = np.histogram(values, bins=bins, range=span)
    labels: Sequence[str] = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)]
    return [(label, int(count)) for label, count in zip(labels, counts, strict=True)]
