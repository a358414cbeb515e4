"""Stage `select`: choose the best candidate on the validation rows, by `selection.metric`."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_csv, write_json
from pipelines.config.metrics import METRICS, gain
from pipelines.config.paths import CANDIDATES, CANDIDATES_PLOT, NOT_REPRODUCIBLE, SELECTION
from pipelines.config.read import read_sections
from pipelines.config.selection import ComparedParams, SelectionParams, Threshold
from pipelines.model.encoding import Columns
from pipelines.model.inputs import inputs_of
from pipelines.model.metrics import Weighted, interval, paired_bootstrap, too_few
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input, Signature
from pipelines.model.threshold import choose_threshold
from pipelines.tables.costs import costs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import Rows, load_rows
from pipelines.tables.split import load_split, rows_on_side

RESAMPLES = 500
SEED = 7


def draft_signature(params: SelectionParams, candidate: str, inputs: tuple[Input, ...]) -> Signature:
    """Return a signature that is enough to score a candidate; the export adds the rest."""
    output = "probability" if params.task == "classification" else "value"
    return Signature(params.model_name, params.task, params.table.target, inputs, output, candidate)


def choose(values: dict[str, float], metric: str) -> str:
    """Return the best by the metric; of equal ones the first by name, so that their order does not matter."""
    return min(sorted(values), key=lambda name: -gain(metric, values[name]))


def candidate_scores(params: SelectionParams, path: Path, columns: Columns) -> npt.NDArray[np.float64]:
    """Score encoded columns with the file of a candidate; shape (n,)."""
    return Scorer(path, draft_signature(params, path.stem, inputs_of(params))).score(columns)


def criterion(params: SelectionParams, rows: Rows, scores: npt.NDArray[np.float64]) -> Weighted:
    """Return the metrics of scores of shape (n,), at the best threshold if the criterion needs one."""
    threshold = 0.5 if params.task == "classification" else None
    costs = None
    if METRICS[params.selection.metric].needs_threshold:
        costs = costs_of(rows.arrow, rows.target, params.value)
        threshold = choose_threshold(rows.target, scores, params.selection.threshold or Threshold(), costs)
    return Weighted(params.task, rows.target, scores, threshold, costs)


def evaluate_candidate(params: SelectionParams, rows: Rows, weighted: Weighted) -> dict[str, float]:
    """Return the metrics of a candidate; those that need a threshold only if one of them is the criterion."""
    values = weighted(np.ones((1, len(rows))))
    needs_threshold = METRICS[params.selection.metric].needs_threshold
    return {key: float(v[0]) for key, v in values.items() if needs_threshold or not METRICS[key].needs_threshold}


def score_interval(params: SelectionParams, rows: Rows, weighted: Weighted) -> tuple[float, float]:
    """Return the 95 % confidence interval of the criterion; NaN twice if the rows are too few."""
    if too_few(params.task, rows.target):
        return float("nan"), float("nan")
    metric = params.selection.metric
    (values,) = paired_bootstrap([weighted], len(rows), RESAMPLES, SEED, [metric])
    return interval(values[metric])


def main() -> None:
    """Compare the candidates and write the winner."""
    params = read_sections(ComparedParams)
    validation = rows_on_side(read_rows(connect()), params, load_split(), "validation")
    rows = load_rows(validation, params, inputs_of(params))
    metric = params.selection.metric
    files = {name: CANDIDATES / f"{name}.onnx" for name in sorted(params.candidates)}
    weighted = {
        name: criterion(params, rows, candidate_scores(params, path, rows.inputs)) for name, path in files.items()
    }
    compared = {name: evaluate_candidate(params, rows, model) for name, model in weighted.items()}
    values = {name: metrics[metric] for name, metrics in compared.items()}
    winner = choose(values, metric)
    document = {
        "criterion": metric,
        "rows": len(rows),
        "winner": winner,
        "candidates": compared,
        "intervals": {name: score_interval(params, rows, model) for name, model in weighted.items()},
        "bytes": {name: path.stat().st_size for name, path in files.items()},
        NOT_REPRODUCIBLE: [name for name, path in files.items() if _is_marked(path)],
    }
    write_json(SELECTION, document)
    write_csv(CANDIDATES_PLOT, ["name", "value"], values.items())
    print(f"{winner} wins by {metric}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()))


def _is_marked(path: Path) -> bool:
    """Return whether the stage `train` found that a second fit gives another file."""
    return any(prop.key == NOT_REPRODUCIBLE for prop in onnx.load(path).metadata_props)


if __name__ == "__main__":
    sys.exit(end_with_code(main))
