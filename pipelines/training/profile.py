"""Stage `profile`: models/profile.json, the training rows as bin edges and counts; drift is measured against it."""

from __future__ import annotations

import sys
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from pipelines import config, features, tables
from pipelines.cli import end_with_code
from pipelines.files import rounded, write_json
from pipelines.scorer import Input
from pipelines.training.paths import PROFILE

BINS = 20


def edges_of(table: ir.Table, inputs: tuple[Input, ...]) -> dict[str, list[float]]:
    """Inner bin edges of each numeric input: its quantiles, each once.

    Bin i holds the values above edge i - 1 and up to edge i; the first and the last are open.
    """
    numeric = [item.name for item in inputs if item.type in ("number", "integer")]
    if not numeric:
        return {}
    shares = [i / BINS for i in range(1, BINS)]
    # One column at a time: the engine holds all values of a column for its quantiles, and cannot spill them.
    row = {name: table[name].cast("float64").quantile(shares).to_pyarrow().as_py() for name in numeric}
    return {name: [float(edge) for edge in np.unique(rounded(row[name] or []))] for name in numeric}


def binned(table: ir.Table, item: Input, edges: list[float]) -> ir.Value:
    """The bin of a value: its number for a number, the hour for a timestamp, else the value; null is missing."""
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


def counts(table: ir.Table, inputs: tuple[Input, ...], edges: dict[str, list[float]]) -> dict[str, dict[str, int]]:
    """Rows of each bin of each input, `missing` among them: a union of group-bys, so one query."""
    parts = []
    for item in inputs:
        value = binned(table, item, edges.get(item.name, [])).cast("string")
        grouped = table.select(bin=value.fill_null("missing")).group_by("bin").aggregate(rows=ibis._.count())
        parts.append(grouped.mutate(input=ibis.literal(item.name)))
    rows = ibis.union(*parts).to_pyarrow().to_pylist() if len(parts) > 1 else parts[0].to_pyarrow().to_pylist()
    found: dict[str, dict[str, int]] = {item.name: {} for item in inputs}
    for row in rows:
        found[row["input"]][row["bin"]] = int(row["rows"])
    return found


def profile(table: ir.Table, inputs: tuple[Input, ...]) -> dict[str, Any]:
    """The profile of a table: per input its type, bin edges and counts."""
    edges = edges_of(table, inputs)
    counted = counts(table, inputs, edges)
    described: dict[str, Any] = {}
    for item in inputs:
        described[item.name] = {"type": item.type, "counts": counted[item.name]}
        if item.name in edges:
            described[item.name]["edges"] = edges[item.name]
    rows = sum(next(iter(counted.values())).values()) if counted else 0
    return {"rows": rows, "inputs": described}


def main() -> None:
    """Profile the training rows."""
    params = config.load()
    table = tables.read_data(tables.connect())
    train = tables.side(table, params, tables.load_split(), "train")
    found = profile(train, features.inputs_of(params))
    write_json(PROFILE, found)
    print(f"{PROFILE}: {found['rows']:,} rows, {len(found['inputs'])} inputs")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
