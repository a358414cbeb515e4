"""Stage `train`: fit one candidate and write it as a complete graph, models/candidates/NAME.onnx.

A graph rather than a pickle: selection then scores what would ship, and loading a candidate runs no code.
"""

import sys

import onnx

from pipelines.cli.errors import InputError
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_bytes
from pipelines.config.candidates import TrainParams
from pipelines.config.paths import CANDIDATES, NOT_REPRODUCIBLE
from pipelines.config.read import read_sections
from pipelines.model import features
from pipelines.model.inputs import inputs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import load_rows
from pipelines.tables.split import load_split, rows_on_side
from pipelines.training import estimators, parity


def main() -> None:
    """Train the candidate named on the command line."""
    params = read_sections(TrainParams)
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in params.candidates:
        raise InputError(f"there is no candidate {name!r}", f"Name one of {', '.join(params.candidates)}.")
    candidate = params.candidates[name]
    rows = load_rows(rows_on_side(read_rows(connect()), params, load_split(), "train"), params, inputs_of(params))
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
