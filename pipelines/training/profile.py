"""Stage `profile`: write models/profile.json, bin edges and counts of the training rows, to measure drift against."""

from __future__ import annotations

import sys
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_json
from pipelines.config.features import FeatureParams
from pipelines.config.paths import PROFILE
from pipelines.config.read import read_sections
from pipelines.model.inputs import inputs_of
from pipelines.model.signature import Input
from pipelines.tables.binning import bin_edges, count_bins
from pipelines.tables.data import connect, read_data
from pipelines.tables.split import load_split, rows_on_side


def profile(table: ir.Table, inputs: tuple[Input, ...]) -> dict[str, Any]:
    """Return the profile of a table: type, bin edges and counts of each input."""
    edges = bin_edges(table, inputs)
    counts = count_bins(table, inputs, edges)
    document: dict[str, Any] = {"rows": sum(counts[inputs[0].name].values()), "inputs": {}}
    for item in inputs:
        document["inputs"][item.name] = {"type": item.type, "counts": counts[item.name]}
        if item.name in edges:
            document["inputs"][item.name]["edges"] = edges[item.name]
    return document


def main() -> None:
    """Profile the training rows."""
    params = read_sections(FeatureParams)
    train = rows_on_side(read_data(connect()), params, load_split(), "train")
    document = profile(train, inputs_of(params))
    write_json(PROFILE, document)
    print(f"{PROFILE}: {document['rows']:,} rows, {len(document['inputs'])} inputs")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
