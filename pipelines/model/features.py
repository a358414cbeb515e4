"""Build the features of params.yaml as an ONNX graph, which training and the service both run.

Training fits the estimator to the output of this graph in ONNX Runtime, and the shipped file is this graph joined to
the converted estimator. Each feature therefore has a single definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from pipelines.config.features import FeatureParams
from pipelines.model.encoding import Columns
from pipelines.model.inputs import inputs_of

OPSETS = {"": 19, "ai.onnx.ml": 3}
IR_VERSION = 9
DAY = 86_400
Vocabulary = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class FeatureGraph:
    """A graph from raw fields of shape (n, 1) to `features`, float32 of shape (n, len(names))."""

    model: onnx.ModelProto
    names: tuple[str, ...]

    def transform(self, columns: Columns) -> npt.NDArray[np.float32]:
        """Return features, float32 of shape (n, f), of encoded columns of shape (n,) each."""
        return run_graph(self.model, columns)


def run_graph(model: onnx.ModelProto, columns: Columns) -> npt.NDArray[np.float32]:
    """Return the output of a graph for encoded columns of shape (n,) each."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {item.name: columns[item.name][:, None] for item in session.get_inputs()})
    return np.asarray(output, dtype=np.float32)


class _Builder:
    """Collects nodes and constants; each method returns the name of the tensor that it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"raw_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, *values: Any) -> str:
        name = f"const_{len(self.constants)}"
        kind = TensorProto.FLOAT if isinstance(values[0], float) else TensorProto.INT64
        self.constants.append(helper.make_tensor(name, kind, [len(values)], values))
        return name

    def to_float(self, tensor: str) -> str:
        return self.node("Cast", tensor, to=TensorProto.FLOAT)


def _log1p(build: _Builder, of: str, _: str) -> str:
    negative = build.node("Less", of, build.constant(0.0))
    not_negative = build.node("Where", negative, build.constant(0.0), of)
    return build.node("Log", build.node("Add", not_negative, build.constant(1.0)))


def _second_of_day(build: _Builder, of: str) -> str:
    # Mod has the sign of the divisor, so this is right before 1970, too.
    return build.node("Mod", of, build.constant(DAY))


def _hour(build: _Builder, of: str, _: str) -> str:
    return build.to_float(build.node("Div", _second_of_day(build, of), build.constant(3600)))


def _weekday_number(build: _Builder, of: str) -> str:
    midnight = build.node("Sub", of, _second_of_day(build, of))
    days = build.node("Div", midnight, build.constant(DAY))
    thursday = build.constant(3)  # 1970-01-01 was a Thursday; Monday is 0
    return build.node("Mod", build.node("Add", days, thursday), build.constant(7))


def _weekday(build: _Builder, of: str, _: str) -> str:
    return build.to_float(_weekday_number(build, of))


def _is_weekend(build: _Builder, of: str, _: str) -> str:
    return build.to_float(build.node("GreaterOrEqual", _weekday_number(build, of), build.constant(5)))


def _ratio(build: _Builder, of: str, to: str) -> str:
    usable = build.node("Greater", to, build.constant(1e-6))
    return build.node("Where", usable, build.node("Div", of, to), build.constant(float("nan")))


def _differs(build: _Builder, of: str, to: str) -> str:
    return build.to_float(build.node("Not", build.node("Equal", of, to)))


_OPS: dict[str, Callable[[_Builder, str, str], str]] = {
    "log1p": _log1p,
    "hour": _hour,
    "weekday": _weekday,
    "is_weekend": _is_weekend,
    "ratio": _ratio,
    "differs": _differs,
}


def graph(params: FeatureParams, vocabulary: Vocabulary) -> FeatureGraph:
    """Build the feature graph.

    Args:
        vocabulary: for each category column in `features.use`, the values that get a feature.
    """
    build = _Builder()
    tensors: list[str] = []
    names: list[str] = []
    for name in params.features.use:
        if params.table.columns[name].type == "category":
            categories = list(vocabulary[name])
            # An unknown value is 0 in all of them.
            tensors.append(build.node("OneHotEncoder", name, domain="ai.onnx.ml", cats_strings=categories, zeros=1))
            tensors[-1] = build.node("Reshape", tensors[-1], build.constant(-1, len(categories)))
            names += [f"{name}={category or 'missing'}" for category in categories]
        else:
            tensors.append(name)
            names.append(name)
    for name, derived in params.features.derive.items():
        tensors.append(_OPS[derived.op](build, derived.of, derived.to or ""))
        names.append(name)
    build.nodes.append(helper.make_node("Concat", tensors, ["features"], name="features", axis=1))
    kinds = {"category": TensorProto.STRING, "timestamp": TensorProto.INT64}
    model = helper.make_model(
        helper.make_graph(
            build.nodes,
            "features",
            [
                helper.make_tensor_value_info(i.name, kinds.get(i.type, TensorProto.FLOAT), [None, 1])
                for i in inputs_of(params)
            ],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(names)])],
            build.constants,
        ),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=IR_VERSION,
        producer_name="mainline",
    )
    onnx.checker.check_model(model)
    return FeatureGraph(model, tuple(names))


def vocabulary_of(params: FeatureParams, columns: Columns, limit: int = 256) -> dict[str, tuple[str, ...]]:
    """Return the values of each category that get a feature: the allowed ones, or the most frequent training values."""
    vocabulary: dict[str, tuple[str, ...]] = {}
    for name in params.features.use:
        column = params.table.columns[name]
        if column.type != "category":
            continue
        if column.allowed is not None:
            vocabulary[name] = column.allowed + (("",) if column.nullable else ())
        else:
            values, counts = np.unique(columns[name].astype(str), return_counts=True)
            frequent = values[np.argsort(-counts, kind="stable")[:limit]]
            vocabulary[name] = tuple(sorted(str(value) for value in frequent))
    return vocabulary
