"""How well the bins of a single input predict the target: too well means that the target leaks.

`leak_scores.py` fits models instead, on several inputs together.
"""

import ibis
import ibis.expr.types as ir

from pipelines.config.features import FeatureParams
from pipelines.model.inputs import inputs_of
from pipelines.tables.binning import aggregate_bins, bin_edges
from pipelines.tables.data import target_value


def bin_scores(table: ir.Table, params: FeatureParams, without: set[str]) -> dict[str, float]:
    """Return the AUC (classification) or R2 (regression) of the best rule on the bins of a single input.

    The rule orders the bins by their share of positives (or their mean), which is what a model could learn from that
    input alone.

    Returns:
        input -> score in [0, 1], for inputs not in `without`.
    """
    labelled = table.filter(table[params.table.target].notnull())
    inputs = tuple(item for item in inputs_of(params) if item.name not in without)
    target = target_value(labelled, params).cast("float64")
    bins: dict[str, list[tuple[int, float, float]]] = {item.name: [] for item in inputs}
    for row in aggregate_bins(
        labelled, inputs, bin_edges(labelled, inputs), rows=ibis._.count(), total=target.sum(), square=(target**2).sum()
    ):
        bins[row["input"]].append((row["rows"], row["total"], row["square"]))
    score = _auc if params.task == "classification" else _r2
    return {name: score(bins_of_input) for name, bins_of_input in bins.items()}


def _auc(bins: list[tuple[int, float, float]]) -> float:
    """Return the AUC of ranking rows by the share of positives in their bin; ties count half."""
    below = pairs_won = 0.0
    for rows, positives, _ in sorted(bins, key=lambda b: b[1] / b[0]):
        negatives = rows - positives
        pairs_won += positives * (below + negatives / 2)
        below += negatives
    pairs = below * sum(b[1] for b in bins)
    return pairs_won / pairs if pairs else 0.5


def _r2(bins: list[tuple[int, float, float]]) -> float:
    """Return the share of the variance that the means of the bins explain (the correlation ratio)."""
    rows = sum(b[0] for b in bins)
    total = sum(b[1] for b in bins)
    overall = sum(b[2] for b in bins) - total**2 / rows
    between = sum(b[1] ** 2 / b[0] for b in bins) - total**2 / rows
    return between / overall if overall > 0 else 0.0
