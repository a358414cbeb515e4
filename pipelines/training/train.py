"""Stage `train`: fit one candidate and write it as a complete graph, models/candidates/NAME.onnx.

The graph rather than a pickle: selection then judges what would ship, and reading a candidate runs no code.
"""

from __future__ import annotations

import sys

import onnx

from pipelines import config, features, tables
from pipelines.cli import end_with_code
from pipelines.errors import InputError
from pipelines.files import write_bytes
from pipelines.training import estimators, parity
from pipelines.training.paths import CANDIDATES, NOT_REPRODUCIBLE


def main() -> None:
    """Train the candidate named on the command line."""
    params = config.load()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in params.candidates:
        raise InputError(f"there is no candidate {name!r}", f"Name one of {', '.join(params.candidates)}.")
    candidate = params.candidates[name]
    inputs = features.inputs_of(params)
    table = tables.read_data(tables.connect())
    rows = tables.load(tables.side(table, params, tables.load_split(), "train"), params, inputs)
    graph = features.graph(params, features.vocabulary_of(params, rows.inputs))
    matrix = graph.transform(rows.inputs)
    fitted = estimators.fit(name, candidate, matrix, rows.target)
    model = estimators.to_graph(name, candidate, fitted, graph, params.task)
    parity.check(params, name, fitted, model, graph, rows, matrix)
    if not estimators.is_reproducible(name, candidate, graph, matrix, rows.target, params.task):
        onnx.helper.set_model_props(model, {NOT_REPRODUCIBLE: "true"})
    write_bytes(CANDIDATES / f"{name}.onnx", model.SerializeToString(deterministic=True))
    print(f"{name}: {len(rows):,} rows, {matrix.shape[1]} features, {model.ByteSize() / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
