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

from pipelines.config.features import Derived, FeatureParams
from pipelines.model.encoding import MAX_NUMBER, Columns
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
        kind = {float: TensorProto.FLOAT, int: TensorProto.INT64, str: TensorProto.STRING}[type(values[0])]
        encoded: Any = [value.encode() if isinstance(value, str) else value for value in values]
        self.constants.append(helper.make_tensor(name, kind, [len(values)], encoded))
        return name

    def to_float(self, tensor: str) -> str:
        return self.node("Cast", tensor, to=TensorProto.FLOAT)

    def clip(self, tensor: str, low: float, high: float) -> str:
        # Not by Clip, which does not say what it makes of NaN.
        bottom, top = self.constant(low), self.constant(high)
        not_below = self.node("Where", self.node("Less", tensor, bottom), bottom, tensor)
        return self.node("Where", self.node("Greater", not_below, top), top, not_below)


def _log1p(build: _Builder, derived: Derived) -> str:
    negative = build.node("Less", derived.of, build.constant(0.0))
    not_negative = build.node("Where", negative, build.constant(0.0), derived.of)
    return build.node("Log", build.node("Add", not_negative, build.constant(1.0)))


def _second_of_day(build: _Builder, of: str) -> str:
    # Mod has the sign of the divisor, so this is right before 1970, too.
    return build.node("Mod", of, build.constant(DAY))


def _hour(build: _Builder, derived: Derived) -> str:
    return build.to_float(build.node("Div", _second_of_day(build, derived.of), build.constant(3600)))


def _weekday_number(build: _Builder, of: str) -> str:
    midnight = build.node("Sub", of, _second_of_day(build, of))
    days = build.node("Div", midnight, build.constant(DAY))
    thursday = build.constant(3)  # 1970-01-01 was a Thursday; Monday is 0
    return build.node("Mod", build.node("Add", days, thursday), build.constant(7))


def _weekday(build: _Builder, derived: Derived) -> str:
    return build.to_float(_weekday_number(build, derived.of))


def _is_weekend(build: _Builder, derived: Derived) -> str:
    return build.to_float(build.node("GreaterOrEqual", _weekday_number(build, derived.of), build.constant(5)))


def _ratio(build: _Builder, derived: Derived) -> str:
    assert derived.to
    usable = build.node("Greater", derived.to, build.constant(1e-6))
    return build.node("Where", usable, build.node("Div", derived.of, derived.to), build.constant(float("nan")))


def _difference(build: _Builder, derived: Derived) -> str:
    assert derived.to
    return build.clip(build.node("Sub", derived.of, derived.to), -MAX_NUMBER, MAX_NUMBER)


def _product(build: _Builder, derived: Derived) -> str:
    assert derived.to
    return build.clip(build.node("Mul", derived.of, derived.to), -MAX_NUMBER, MAX_NUMBER)


def _clip(build: _Builder, derived: Derived) -> str:
    assert derived.min is not None and derived.max is not None
    return build.clip(derived.of, derived.min, derived.max)


def _bucket(build: _Builder, derived: Derived) -> str:
    assert derived.edges
    reached = build.to_float(build.node("GreaterOrEqual", derived.of, build.constant(*derived.edges)))
    count = build.node("ReduceSum", reached, build.constant(1), keepdims=1)
    return build.node("Where", build.node("IsNaN", derived.of), build.constant(float("nan")), count)


def _differs(build: _Builder, derived: Derived) -> str:
    assert derived.to
    return build.to_float(build.node("Not", build.node("Equal", derived.of, derived.to)))


def _age_in_days(build: _Builder, derived: Derived) -> str:
    assert derived.to
    seconds = build.to_float(build.node("Sub", derived.to, derived.of))
    return build.node("Div", seconds, build.constant(float(DAY)))


def _is_missing_number(build: _Builder, derived: Derived) -> str:
    return build.to_float(build.node("IsNaN", derived.of))


def _is_missing_text(build: _Builder, derived: Derived) -> str:
    return build.to_float(build.node("Equal", derived.of, build.constant("")))


_OPS: dict[str, Callable[[_Builder, Derived], str]] = {
    "log1p": _log1p,
    "hour": _hour,
    "weekday": _weekday,
    "is_weekend": _is_weekend,
    "ratio": _ratio,
    "difference": _difference,
    "product": _product,
    "clip": _clip,
    "bucket": _bucket,
    "differs": _differs,
    "age_in_days": _age_in_days,
    "is_missing": _is_missing_number,
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
        is_text = params.table.columns[derived.of].type == "category"
        operation = _is_missing_text if derived.op == "is_missing" and is_text else _OPS[derived.op]
        tensors.append(operation(build, derived))
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
