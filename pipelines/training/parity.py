"""Compare the ONNX file with the fitted estimator, because the conversion may change predictions."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.cli.errors import InputError, first_line
from pipelines.config.candidates import Candidate, TrainParams
from pipelines.model.encoding import Columns
from pipelines.model.features import FeatureGraph, run_graph
from pipelines.model.inputs import inputs_of
from pipelines.model.signature import Input
from pipelines.tables.rows import Rows
from pipelines.training.estimators import predict

Floats = npt.NDArray[np.float64]
ROWS = 10_000
TOLERANCE = {"classification": 1e-4, "regression": 1e-3}  # of a probability; in the target's standard deviations
ON_THRESHOLD = 0.01  # share of the rows
ROUNDING = 2.0**-21  # eight roundings of float32: imputing and scaling take some of them
MOVES = 10
BLANKED = 20


def check(
    params: TrainParams,
    name: str,
    fitted: Any,
    model: onnx.ModelProto,
    graph: FeatureGraph,
    rows: Rows,
    matrix: npt.NDArray[np.float32],
) -> None:
    """Compare the converted graph with the fitted estimator on training rows, whose features are `matrix`: (n, f).

    A row agrees if the two predictions differ by at most TOLERANCE. A row on a threshold of a tree is allowed to
    differ: the estimator itself predicts as the graph when the row's features move by a rounding of float32. At most
    ON_THRESHOLD of the rows may be such rows, and none of them may have a missing value.

    Raises:
        InputError: if they disagree, if ONNX Runtime cannot run the graph, or if the estimator cannot take missing
            values that the schema allows.
    """
    candidate, task = params.candidates[name], params.task
    columns = _sample(inputs_of(params), rows.inputs, matrix)
    sample = graph.transform(columns).astype(np.float64)
    try:
        expected = predict(fitted, sample, task)
    except ValueError as error:
        raise InputError(
            f"candidates.{name}: {candidate.estimator} cannot score rows that the schema allows: {first_line(error)}",
            f"Put a SimpleImputer into candidates.{name}.before, or remove `nullable` from the inputs.",
        ) from error
    missing = np.asarray(np.isnan(sample).any(axis=1))
    try:
        scores = run_graph(model, columns)[:, 0].astype(np.float64)
    except Exception as error:  # ONNX Runtime's classes have no common base
        raise InputError(
            f"candidates.{name}: ONNX Runtime cannot run the converted {candidate.estimator}: {first_line(error)}",
            _remedy(name, candidate, task, float(missing.mean())),
        ) from error
    limit = TOLERANCE[task] * (1.0 if task == "classification" else _spread(rows.target))
    allowed: Floats = limit + ROUNDING * np.abs(expected)  # the file computes in float32
    difference = np.abs(scores - expected)
    differs: npt.NDArray[np.bool_] = np.logical_not(difference <= allowed)  # NaN differs, too
    if not differs.any():
        return
    if differs.mean() <= ON_THRESHOLD and not missing[differs].any():
        # Scaling subtracts a value of about this size. A mean would follow a single sentinel such as 1e12.
        size = np.median(np.nan_to_num(np.abs(sample)), axis=0)
        moved = _moved(fitted, sample[differs], size, task)
        low, high = np.minimum(moved.min(axis=0), expected[differs]), np.maximum(moved.max(axis=0), expected[differs])
        if ((scores[differs] >= low - allowed[differs]) & (scores[differs] <= high + allowed[differs])).all():
            return
    missing_share = float(missing[differs].mean())
    raise InputError(
        f"candidates.{name}: the ONNX file and the fitted {candidate.estimator} predict differently: "
        f"{differs.mean():.2%} of {len(sample):,} training rows differ by more than {limit:.3g}, "
        f"the largest difference is {difference.max():.3g}, {missing_share:.0%} of these rows have a missing value",
        _remedy(name, candidate, task, missing_share),
    )


def _spread(target: Floats) -> float:
    """Return the standard deviation of the target, or what its quartiles imply if that is less."""
    deviation = float(np.std(target)) or 1.0
    quartiles = float(np.subtract(*np.percentile(target, [75, 25])))
    return min(deviation, quartiles / 1.349) if quartiles > 0 else deviation  # 1.349: a normal distribution's


def _sample(inputs: tuple[Input, ...], columns: Columns, matrix: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Return at most about ROWS rows, with the ends, the rare categories and the missing values of every feature.

    A nullable input that is never missing is blanked in some more rows, since requests may lack it.
    """
    picked = np.arange(len(matrix))
    if len(matrix) > ROWS:
        parts = [np.linspace(0, len(matrix) - 1, ROWS // 2).astype(np.int64)]
        each = max(1, ROWS // (6 * matrix.shape[1]))
        for values in matrix.T:
            order = np.argsort(values, kind="stable")
            present = len(values) - int(np.isnan(values).sum())
            parts += [order[:each], order[max(0, present - each) : present], order[present : present + each]]
        picked = np.unique(np.concatenate(parts))
    sample = {item.name: columns[item.name][picked] for item in inputs}
    never = [i.name for i in inputs if i.nullable and i.type != "category" and not np.isnan(sample[i.name]).any()]
    first = {name: values[:BLANKED] for name, values in sample.items()}
    samples = [sample, *({**first, name: np.full_like(first[name], np.nan)} for name in never)]
    return {name: np.concatenate([rows[name] for rows in samples]) for name in sample}


def _moved(fitted: Any, rows: Floats, size: Floats, task: str) -> Floats:
    """Return predictions for features changed by a rounding, shape (MOVES, n); size has shape (f,)."""
    rounding = ROUNDING * (np.abs(rows) + size)
    signs = np.random.Generator(np.random.PCG64(0)).choice([-1.0, 1.0], (MOVES, rows.shape[1]))
    signs[0], signs[1] = 1.0, -1.0
    return np.stack([predict(fitted, rows + sign * rounding, task) for sign in signs])


def _remedy(name: str, candidate: Candidate, task: str, missing_share: float) -> str:
    """Return the remedy for the most likely cause, by the settings of the candidate and the rows that differ."""
    where = f"candidates.{name}"
    before = [step.estimator.rpartition(".")[2] for step in candidate.before]
    if any(step.params.get("add_indicator") for step in candidate.before):
        return f"Remove add_indicator from {where}.before: its columns are missing in the ONNX file."
    if candidate.params.get("categorical_features") is not None:
        return f"Remove categorical_features from {where}.params: categories are one-hot features already."
    inner = candidate.params.get("estimator")
    if candidate.estimator.endswith("CalibratedClassifierCV") and isinstance(inner, dict) and inner.get("before"):
        return f"Move the steps of {where}.params.estimator.before to {where}.before."
    if candidate.params.get("method") == "isotonic":
        return f"Set `method: sigmoid` in {where}.params: ONNX holds isotonic calibration only roughly."
    if missing_share > 0.9 and not any("Imputer" in step for step in before):
        return f"Put a SimpleImputer into {where}.before: ONNX treats missing values differently."
    if transformers := [step for step in before if "Imputer" not in step]:
        return f"Remove {', '.join(transformers)} from {where}.before, or use another estimator."
    estimators = ("HistGradientBoosting", "LogisticRegression" if task == "classification" else "Ridge")
    others = [other for other in estimators if other not in candidate.estimator]
    return f"Use another estimator in {where}, such as {' or '.join(others)}."
