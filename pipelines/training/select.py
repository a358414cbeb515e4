"""Stage `select`: the winner among the candidates, on the validation rows, by the criterion of params.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from pipelines import config, features, metrics, tables
from pipelines.cli import end_with_code
from pipelines.files import write_csv, write_json
from pipelines.scorer import Columns, Input, Scorer, Signature
from pipelines.training.paths import CANDIDATES, CANDIDATES_PLOT, NOT_REPRODUCIBLE, SELECTION


def draft_signature(params: config.Params, candidate: str, inputs: tuple[Input, ...]) -> Signature:
    """A signature without what only the export knows: enough to score a candidate."""
    output = "probability" if params.task == "classification" else "value"
    return Signature(params.release, params.task, params.table.target, inputs, output, candidate)


def choose(values: dict[str, float], metric: str) -> str:
    """The best by the metric; of equals the first by name, so that the order in params.yaml does not matter."""
    return min(sorted(values), key=lambda name: -metrics.gain(metric, values[name]))


def candidate_scores(params: config.Params, path: Path, columns: Columns) -> npt.NDArray[np.float64]:
    """Scores of a candidate's file on encoded columns; shape (n,)."""
    return Scorer(path, draft_signature(params, path.stem, features.inputs_of(params))).score(columns)


def main() -> None:
    """Compare the candidates and name the winner."""
    params = config.load()
    table = tables.read_data(tables.connect())
    chosen_on = tables.side(table, params, tables.load_split(), "validation")
    rows = tables.load(chosen_on, params, features.inputs_of(params))
    compared: dict[str, dict[str, float]] = {}
    for name in sorted(params.candidates):
        scores = candidate_scores(params, CANDIDATES / f"{name}.onnx", rows.inputs)
        threshold = 0.5 if params.task == "classification" else None
        found = metrics.compute(params.task, rows.target, scores, threshold)
        # The threshold is chosen at the export, for the winner alone; before it these have no meaning.
        compared[name] = {k: v for k, v in found.items() if k not in metrics.NEEDS_THRESHOLD}
    metric = params.selection.metric
    if metric in metrics.NEEDS_THRESHOLD:
        compared = {name: found | _at_best_threshold(params, rows, name) for name, found in compared.items()}
    winner = choose({name: found[metric] for name, found in compared.items()}, metric)
    document = {
        "criterion": metric,
        "rows": len(rows),
        "winner": winner,
        "candidates": compared,
        NOT_REPRODUCIBLE: [name for name in compared if _is_marked(CANDIDATES / f"{name}.onnx")],
    }
    write_json(SELECTION, document)
    write_csv(CANDIDATES_PLOT, ["name", "value"], [[name, found[metric]] for name, found in compared.items()])
    print(f"{winner} wins by {metric}: " + ", ".join(f"{n} {v[metric]:.4f}" for n, v in compared.items()))


def _is_marked(path: Path) -> bool:
    """Whether the stage `train` found that a second fit gives another file."""
    return any(prop.key == NOT_REPRODUCIBLE for prop in onnx.load(path).metadata_props)


def _at_best_threshold(params: config.Params, rows: tables.Rows, name: str) -> dict[str, float]:
    """The metrics of the decision, at the threshold that an export of this candidate would choose."""
    from pipelines.training.threshold import choose_threshold

    assert params.task == "classification"
    scores = candidate_scores(params, CANDIDATES / f"{name}.onnx", rows.inputs)
    threshold = choose_threshold(rows.target, scores, params.selection.threshold)
    found = metrics.compute(params.task, rows.target, scores, threshold)
    return {key: found[key] for key in metrics.NEEDS_THRESHOLD}


if __name__ == "__main__":
    sys.exit(end_with_code(main))
