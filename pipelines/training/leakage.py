"""Measure how well each input alone predicts the target: one that nearly is the target is a leak."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from pipelines.config.features import FeatureParams
from pipelines.model.inputs import inputs_of
from pipelines.tables.binning import bin_edges, bin_of
from pipelines.tables.data import target_value


def leak_scores(table: ir.Table, params: FeatureParams, without: set[str]) -> dict[str, float]:
    """Return the AUC (classification) or R2 (regression) of the best rule on the bins of a single input.

    The rule orders the bins by their share of positives (or their mean), which is what a model could learn from that
    input alone.

    Returns:
        input -> score in [0, 1], for inputs not in `without`.
    """
    known = table.filter(table[params.table.target].notnull())
    inputs = tuple(item for item in inputs_of(params) if item.name not in without)
    if not inputs:
        return {}
    edges = bin_edges(known, inputs)
    target = target_value(known, params).cast("float64")
    parts = []
    for item in inputs:
        rows = known.select(bin=bin_of(known, item, edges.get(item.name, [])).cast("string"), target=target)
        grouped = rows.group_by("bin").aggregate(
            rows=ibis._.count(), total=ibis._.target.sum(), square=(ibis._.target**2).sum()
        )
        parts.append(grouped.mutate(input=ibis.literal(item.name)))
    bins = (ibis.union(*parts) if len(parts) > 1 else parts[0]).to_pyarrow().to_pylist()
    score = _auc if params.task == "classification" else _r2
    grouped_rows = {item.name: [row for row in bins if row["input"] == item.name] for item in inputs}
    return {name: score([(r["rows"], r["total"], r["square"]) for r in rows]) for name, rows in grouped_rows.items()}


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
