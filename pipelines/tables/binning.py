"""Bins of a column and the rows in each bin, for the profile of the training rows, data shift, drift and leaks."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from pipelines.cli.files import rounded
from pipelines.model.signature import Input

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
