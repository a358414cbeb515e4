"""The plots of a review: curves of both sides on the same rows, bars of the head."""

from __future__ import annotations

from pipelines.model import curves
from pipelines.pages.charts import Plot
from pipelines.review.compare import Compared

_TITLES = {
    "precision_by_recall": ("Precision and recall", "recall", "precision"),
    "true_by_false_positive_rate": ("ROC", "false positive rate", "true positive rate"),
    "observed_by_predicted": ("Observed by predicted", "predicted", "observed"),
    "absolute_residual_by_predicted": ("Absolute residual by prediction", "predicted", "absolute residual"),
    "rows_by_outcome": ("Outcomes at the threshold", "rows", ""),
    "rows_by_score": ("Rows by probability", "rows", "probability"),
    "rows_by_residual": ("Rows by residual", "rows", "residual"),
    "rows_by_prediction": ("Rows by prediction", "rows", "prediction"),
}


def plots(compared: Compared) -> tuple[Plot, ...]:
    """Every plot of the task."""
    lines = {"head": curves.curves(compared.task, compared.target, compared.head)}
    if compared.base is not None:
        lines["base"] = curves.curves(compared.task, compared.target, compared.base)
    drawn = []
    for name in lines["head"]:
        title, x, y = _TITLES[name]
        drawn.append(
            Plot(name, title, "lines", x, y, {side: curves_of_side[name] for side, curves_of_side in lines.items()})
        )
    histograms = curves.bars(compared.task, compared.target, compared.head, compared.head_threshold)
    for name, bars in histograms.items():
        title, x, y = _TITLES[name]
        drawn.append(Plot(name, title, "bars", x, y, bars=bars))
    return tuple(drawn)
