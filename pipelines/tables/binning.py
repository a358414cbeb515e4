"""Bins of a column and the rows in each bin, for the profile of the training rows, data shift and leakage."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from pipelines.cli.files import rounded
from pipelines.config.features import FeatureParams
from pipelines.model.inputs import inputs_of
from pipelines.model.signature import Input
from pipelines.tables.data import target_value

BINS = 20


def bin_edges(table: ir.Table, inputs: tuple[Input, ...]) -> dict[str, list[float]]:
    """Return the inner bin edges of each numeric input: its distinct quantiles.

    Bin i holds the values above edge i - 1 and up to edge i; the first and the last bin are open.
    """
    numeric = [item.name for item in inputs if item.type in ("number", "integer")]
    shares = [i / BINS for i in range(1, BINS)]
    # One column at a time: for quantiles the engine holds all values of a column in memory.
    quantiles = {name: table[name].cast("float64").quantile(shares).to_pyarrow().as_py() for name in numeric}
    return {name: [float(edge) for edge in np.unique(rounded(quantiles[name] or []))] for name in numeric}


def bin_of(table: ir.Table, item: Input, edges: list[float]) -> ir.Value:
    """Return the bin of each value: of a number its index, of a timestamp the hour, else the value; null if missing."""
    column = table[item.name]
    if item.type == "category":
        return column
    if item.type == "timestamp":
        return column.hour().cast("string")
    if item.type == "boolean":
        return column.cast("int8").cast("string")
    if not edges:
        return ibis.ifelse(column.notnull(), "0", None)
    number = column.cast("float64")
    cases = [(number <= edge, str(i)) for i, edge in enumerate(edges)]
    return ibis.cases((column.isnull(), None), *cases, else_=str(len(edges)))


def aggregate_bins(
    table: ir.Table, inputs: Sequence[Input], edges: Mapping[str, list[float]], **aggregates: ir.Scalar
) -> list[dict[str, Any]]:
    """Return a row for each bin of each input (`input`, `bin` and the aggregates), by one query."""
    parts = []
    for item in inputs:
        value = bin_of(table, item, edges.get(item.name, [])).cast("string").fill_null("missing")
        grouped = table.group_by(bin=value).aggregate(**aggregates)
        parts.append(grouped.mutate(input=ibis.literal(item.name)))
    rows: list[dict[str, Any]] = ibis.union(*parts).to_pyarrow().to_pylist() if parts else []
    return rows


def count_bins(table: ir.Table, inputs: Sequence[Input], edges: Mapping[str, list[float]]) -> dict[str, dict[str, int]]:
    """Return the rows of each bin of each input, with a bin `missing`."""
    counts: dict[str, dict[str, int]] = {item.name: {} for item in inputs}
    for row in aggregate_bins(table, inputs, edges, rows=ibis._.count()):
        counts[row["input"]][row["bin"]] = row["rows"]
    return counts


def leak_scores(table: ir.Table, params: FeatureParams, without: set[str]) -> dict[str, float]:
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
