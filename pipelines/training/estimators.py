"""Estimators by import path, fitted, and converted to one graph from raw fields to the answer."""

from __future__ import annotations

import importlib
import inspect
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.cli.errors import InputError
from pipelines.config.candidates import Candidate, Step
from pipelines.model.features import IR_VERSION, OPSETS, FeatureGraph

Floats = npt.NDArray[np.float64]
INSTEAD = (
    "Use one that can: HistGradientBoosting, GradientBoosting, RandomForest, ExtraTrees, LogisticRegression, "
    "Ridge or MLP."
)
TWICE_FITTED = 2_000


def build(name: str, candidate: Candidate) -> Any:
    """The unfitted scikit-learn pipeline of a candidate.

    Raises:
        InputError: if an import path or a parameter is wrong, or `random_state` is missing where there is one.
    """
    from sklearn.pipeline import Pipeline

    steps = [(f"before_{i}", _make(f"candidates.{name}.before.{i}", step)) for i, step in enumerate(candidate.before)]
    return Pipeline([*steps, ("estimator", _make(f"candidates.{name}", candidate))])


def _make(where: str, step: Step) -> Any:
    module_name, _, class_name = step.estimator.rpartition(".")
    remedy = f"Mend {where} in params.yaml."
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{where}.estimator: {step.estimator} cannot be imported: {error}", remedy) from error
    if not (inspect.isclass(factory) and hasattr(factory, "fit")):
        raise InputError(f"{where}.estimator: {step.estimator} is not a scikit-learn estimator", remedy)
    accepted = inspect.signature(factory).parameters
    if unknown := sorted(set(step.params) - set(accepted)):
        raise InputError(f"{where}.params: {step.estimator} has no {', '.join(unknown)}", remedy)
    if "random_state" in accepted and step.params.get("random_state") is None:
        raise InputError(f"{where}.params: random_state is required, or two runs of one commit give two models", remedy)
    return factory(**step.params)


def fit(name: str, candidate: Candidate, features: npt.NDArray[np.float32], target: Floats) -> Any:
    """Fit a candidate.

    It is fitted in double precision: in single precision the last bits of a sum, which depend on the processor and on
    the number of threads, would reach the file.

    Args:
        features: shape (n, f).
        target: shape (n,): 0 and 1, or values.

    Raises:
        InputError: if scikit-learn refuses the parameters or the rows.
    """
    pipeline = build(name, candidate)
    try:
        return pipeline.fit(features.astype(np.float64), target)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"candidates.{name}: {candidate.estimator} cannot be fitted: {error}",
            f"Mend candidates.{name} in params.yaml (missing values want a SimpleImputer in `before`).",
        ) from error


def answers(fitted: Any, features: Floats, task: str) -> Floats:
    """Probabilities of the positive class, or values, of shape (n,), by the fitted estimator itself."""
    answer = fitted.predict_proba(features)[:, 1] if task == "classification" else fitted.predict(features)
    return np.asarray(answer, dtype=np.float64).reshape(-1)


def is_reproducible(
    name: str,
    candidate: Candidate,
    graph: FeatureGraph,
    features: npt.NDArray[np.float32],
    target: Floats,
    task: str,
) -> bool:
    """Whether two fits on the same rows, with one thread and with two, give the same file.

    A sample of the rows keeps it cheap: True is no proof, and so is what cannot be fitted on so few rows.

    Args:
        features: shape (n, f).
        target: shape (n,).
    """
    from threadpoolctl import threadpool_limits

    # Evenly spaced in the order of the target, so that both classes keep their shares.
    size = min(TWICE_FITTED, len(target) // 5)
    ranked = np.argsort(target, kind="stable")
    some = np.sort(ranked[np.linspace(0, len(target) - 1, size).astype(np.int64)])
    files = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of these fits only the bytes count
        for threads in (1, 2):
            try:
                with threadpool_limits(threads):
                    fitted = fit(name, candidate, features[some], target[some])
                model = to_graph(name, candidate, fitted, graph, task)
            except InputError:
                return True
            files.add(model.SerializeToString(deterministic=True))
    return len(files) == 1


def to_graph(name: str, candidate: Candidate, fitted: Any, features: FeatureGraph, task: str) -> onnx.ModelProto:
    """Join the feature graph and the converted estimator.

    Returns:
        A graph from raw fields of shape (n, 1) to `probability` or `value`, float32 of shape (n, 1).

    Raises:
        InputError: if the estimator gives no probability, or cannot be converted.
    """
    from sklearn.base import is_regressor

    classifies = task == "classification"
    if not (hasattr(fitted, "predict_proba") if classifies else is_regressor(fitted)):
        lacks = "gives no probabilities (predict_proba)" if classifies else "is no regressor, and the task a regression"
        raise InputError(f"candidates.{name}: {candidate.estimator} {lacks}", INSTEAD)
    converted = _convert(name, candidate, fitted, len(features.names), classifies)
    output = converted.graph.output[-1].name
    joined = onnx.compose.merge_models(
        features.model, converted, io_map=[("features", "estimator_features")], outputs=[output]
    )
    answer = "probability" if classifies else "value"
    _rename_output(joined, output, answer, pick_positive=classifies)
    joined.producer_name = "mainline"
    joined.producer_version = ""
    del joined.metadata_props[:]
    joined.graph.name = name
    onnx.checker.check_model(joined)
    return joined


def _convert(name: str, candidate: Candidate, fitted: Any, width: int, classifies: bool) -> onnx.ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    try:
        converted = to_onnx(
            fitted,
            initial_types=[("features", FloatTensorType([None, width]))],
            options={id(fitted): {"zipmap": False}} if classifies else None,
            target_opset=OPSETS,
        )
    except Exception as error:  # skl2onnx raises classes of its own, RuntimeError and AssertionError alike
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(
            f"candidates.{name}: {candidate.estimator} cannot be exported to ONNX: {reason}", INSTEAD
        ) from error
    # Names of its own, so that joining cannot meet a raw field of the same name.
    prefixed: onnx.ModelProto = onnx.compose.add_prefix(converted, "estimator_")
    prefixed.ir_version = IR_VERSION
    del prefixed.opset_import[:]
    prefixed.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
    return prefixed


def _rename_output(model: onnx.ModelProto, output: str, answer: str, pick_positive: bool) -> None:
    """End the graph in one column: the positive class's probability, or the value."""
    graph = model.graph
    if pick_positive:
        graph.initializer.append(onnx.helper.make_tensor("positive_class", onnx.TensorProto.INT64, [1], [1]))
        graph.node.append(onnx.helper.make_node("Gather", [output, "positive_class"], [answer], name=answer, axis=1))
    else:
        graph.initializer.append(onnx.helper.make_tensor("one_column", onnx.TensorProto.INT64, [2], [-1, 1]))
        graph.node.append(onnx.helper.make_node("Reshape", [output, "one_column"], [answer], name=answer))
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(answer, onnx.TensorProto.FLOAT, [None, 1]))
