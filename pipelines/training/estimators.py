"""Fit estimators by their import path, and convert them to one graph from raw fields to the prediction."""

import importlib
import inspect
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.cli.errors import InputError, first_line
from pipelines.config.candidates import Candidate, Step
from pipelines.config.read import PATH, validate
from pipelines.model.features import IR_VERSION, OPSETS, FeatureGraph
from pipelines.training import boosters

Floats = npt.NDArray[np.float64]
ALTERNATIVES = (
    "Use one that can: LightGBM, XGBoost, HistGradientBoosting, GradientBoosting, RandomForest, ExtraTrees, "
    "LogisticRegression, Ridge or MLP; or register its converter (docs/models.md)."
)
REFIT_ROWS = 2_000


def build(where: str, candidate: Candidate) -> Any:
    """Return the unfitted scikit-learn pipeline of a candidate.

    Args:
        where: path of the candidate in params.yaml, for error messages.

    Raises:
        InputError: if an import path or a parameter is wrong, or `random_state` is missing where there is one.
    """
    from sklearn.pipeline import Pipeline

    steps = [(f"before_{i}", _make(f"{where}.before.{i}", step)) for i, step in enumerate(candidate.before)]
    return Pipeline([*steps, ("estimator", _make(where, candidate))])


def _make(where: str, step: Step) -> Any:
    module_name, _, class_name = step.estimator.rpartition(".")
    remedy = f"Fix {where} in {PATH}."
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # without OpenMP, LightGBM raises OSError and XGBoost a class of its own
        raise InputError(
            f"{where}.estimator: {step.estimator} cannot be imported: {first_line(error)}",
            boosters.NO_OPENMP if boosters.lacks_openmp(error) else remedy,
        ) from error
    if not (inspect.isclass(factory) and hasattr(factory, "fit")):
        raise InputError(f"{where}.estimator: {step.estimator} is not a scikit-learn estimator", remedy)
    accepted = boosters.accepted_params(factory)
    if unknown := sorted(set(step.params) - accepted):
        raise InputError(f"{where}.params: {step.estimator} has no {', '.join(unknown)}", remedy)
    if refused := boosters.not_converted(factory, step.params):
        raise InputError(f"{where}.params: {step.estimator} with {refused} cannot be exported to ONNX", remedy)
    if "random_state" in accepted and step.params.get("random_state") is None:
        raise InputError(
            f"{where}.params: random_state is missing; without it two runs of one commit give two models", remedy
        )
    params = {key: _with_estimators(f"{where}.params.{key}", value) for key, value in step.params.items()}
    return factory(**{**boosters.default_params(factory), **params})


def _with_estimators(where: str, value: Any) -> Any:
    """Return a parameter's value in which each mapping with the key `estimator`, as in stacking, is that estimator."""
    if isinstance(value, list):
        return [_with_estimators(f"{where}.{i}", item) for i, item in enumerate(value)]
    if not (isinstance(value, dict) and "estimator" in value):
        return value
    nested = validate(Candidate, value, f"{PATH}: {where}")
    return build(where, nested) if nested.before else _make(where, nested)


def fit(name: str, candidate: Candidate, features: npt.NDArray[np.float32], target: Floats) -> Any:
    """Fit a candidate to features of shape (n, f) and a target of shape (n,): 0 and 1, or values.

    In double precision, because in single precision the last bits of sums, which depend on the processor and the number
    of threads, would change the file.

    Raises:
        InputError: if the estimator refuses the parameters or the rows.
    """
    pipeline = build(f"candidates.{name}", candidate)
    try:
        return pipeline.fit(features.astype(np.float64), target)
    except Exception as error:  # each library raises classes of its own
        raise InputError(
            f"candidates.{name}: {candidate.estimator} cannot be fitted: {first_line(error)}",
            f"Fix candidates.{name} in params.yaml (missing values may need a SimpleImputer in `before`).",
        ) from error


def predict(fitted: Any, features: Floats, task: str) -> Floats:
    """Return probabilities of the positive class, or values, of the fitted estimator itself; shape (n,).

    Raises:
        InputError: if it gives several values a row.
    """
    predicted = fitted.predict_proba(features)[:, 1] if task == "classification" else fitted.predict(features)
    values = np.asarray(predicted, dtype=np.float64).reshape(-1)
    if len(values) != len(features):
        each = len(values) // max(1, len(features))
        raise InputError(
            f"{PATH}: {type(fitted[-1]).__name__} gives {each} values a row",
            "Set the parameters of the candidate so that it gives one, such as a single quantile.",
        )
    return values


def is_reproducible(
    name: str, candidate: Candidate, graph: FeatureGraph, features: npt.NDArray[np.float32], target: Floats, task: str
) -> bool:
    """Return whether two fits on the same rows, with one thread and with two, give the same file.

    Only a sample of the rows is fitted, so True is no proof; it is also returned if the sample is too small to fit.
    """
    from threadpoolctl import threadpool_limits

    sample = sample_rows(target, min(REFIT_ROWS, len(target) // 5))
    files = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the full fit has shown its warnings
        for threads in (1, 2):
            try:
                with threadpool_limits(threads):
                    fitted = fit(name, candidate, features[sample], target[sample])
                files.add(to_graph(name, candidate, fitted, graph, task).SerializeToString(deterministic=True))
            except InputError:
                return True
    return len(files) == 1


def sample_rows(target: Floats, size: int) -> npt.NDArray[np.int64]:
    """Return indices of rows, evenly spaced in the order of the target, so that both classes keep their shares."""
    ranked = np.argsort(target, kind="stable")
    return np.sort(ranked[np.linspace(0, len(target) - 1, size).astype(np.int64)])


def to_graph(name: str, candidate: Candidate, fitted: Any, features: FeatureGraph, task: str) -> onnx.ModelProto:
    """Return one graph from raw fields of shape (n, 1) to `probability` or `value`, float32 of shape (n, 1).

    Raises:
        InputError: if the estimator gives no probability, or cannot be converted.
    """
    from sklearn.base import is_regressor

    classifies = task == "classification"
    if not (hasattr(fitted, "predict_proba") if classifies else is_regressor(fitted)):
        problem = "has no predict_proba, which a classification needs" if classifies else "is not a regressor"
        raise InputError(f"candidates.{name}: {candidate.estimator} {problem}", ALTERNATIVES)
    converted = _convert(name, candidate, fitted, len(features.names), classifies)
    output = converted.graph.output[-1].name
    joined = onnx.compose.merge_models(
        features.model, converted, io_map=[("features", "estimator_features")], outputs=[output]
    )
    _end_in_one_column(joined.graph, output, classifies)
    joined.producer_name = "mainline"
    joined.producer_version = ""
    del joined.metadata_props[:]
    joined.graph.name = name
    onnx.checker.check_model(joined)
    return joined


def _convert(name: str, candidate: Candidate, fitted: Any, width: int, classifies: bool) -> onnx.ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    boosters.register_converters()
    try:
        converted = to_onnx(
            fitted,
            initial_types=[("features", FloatTensorType([None, width]))],
            options={id(fitted): {"zipmap": False}} if classifies else None,
            target_opset=OPSETS,
        )
        # Prefixed, so that no name of it equals that of a raw field.
        prefixed: onnx.ModelProto = onnx.compose.add_prefix(converted, "estimator_")
        prefixed.ir_version = IR_VERSION
        del prefixed.opset_import[:]
        prefixed.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
        onnx.checker.check_model(prefixed)
    except Exception as error:  # skl2onnx raises classes of its own, RuntimeError and AssertionError
        reason = first_line(error)
        where = f"candidates.{name}"
        steps = f" In {where}.before, use SimpleImputer and StandardScaler." if candidate.before else ""
        objective = f" Or use another objective in {where}.params." if "objective" in candidate.params else ""
        raise InputError(
            f"{where}: {candidate.estimator} cannot be exported to ONNX: {reason}", ALTERNATIVES + steps + objective
        ) from error
    return prefixed


def _end_in_one_column(graph: onnx.GraphProto, output: str, classifies: bool) -> None:
    """End the graph in `probability`, that of the positive class, or `value`."""
    helper, kinds = onnx.helper, onnx.TensorProto
    if classifies:
        name, constant = "probability", helper.make_tensor("positive_class", kinds.INT64, [1], [1])
        node = helper.make_node("Gather", [output, constant.name], [name], name=name, axis=1)
    else:
        name, constant = "value", helper.make_tensor("one_column", kinds.INT64, [2], [-1, 1])
        node = helper.make_node("Reshape", [output, constant.name], [name], name=name)
    graph.initializer.append(constant)
    graph.node.append(node)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, kinds.FLOAT, [None, 1]))
