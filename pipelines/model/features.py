"""Build the features of params.yaml as an ONNX graph, which training and the service both run.

Training fits the estimator to the output of this graph in ONNX Runtime, and the shipped file is this graph joined to
the converted estimator. Each feature therefore has a single definition.
"""

from collections.abc import Mapping, Sequence
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

    def second_of_day(self, tensor: str) -> str:
        # Mod has the sign of the divisor, so this is right before 1970, too.
        return self.node("Mod", tensor, self.constant(DAY))

    def weekday(self, tensor: str) -> str:
        midnight = self.node("Sub", tensor, self.second_of_day(tensor))
        days = self.node("Div", midnight, self.constant(DAY))
        thursday = self.constant(3)  # 1970-01-01 was a Thursday; Monday is 0
        return self.node("Mod", self.node("Add", days, thursday), self.constant(7))


def _derive(build: _Builder, derived: Derived, is_text: bool) -> str:
    """Add the nodes of a derived feature.

    Args:
        is_text: whether the column that it takes holds texts.
    """
    node, constant, to_float = build.node, build.constant, build.to_float
    of, to = derived.of, derived.to or ""
    match derived.op:
        case "log1p":
            not_negative = node("Where", node("Less", of, constant(0.0)), constant(0.0), of)
            return node("Log", node("Add", not_negative, constant(1.0)))
        case "hour":
            return to_float(node("Div", build.second_of_day(of), constant(3600)))
        case "weekday":
            return to_float(build.weekday(of))
        case "is_weekend":
            return to_float(node("GreaterOrEqual", build.weekday(of), constant(5)))
        case "ratio":
            usable = node("Greater", to, constant(1e-6))
            return node("Where", usable, node("Div", of, to), constant(float("nan")))
        case "difference":
            return build.clip(node("Sub", of, to), -MAX_NUMBER, MAX_NUMBER)
        case "product":
            return build.clip(node("Mul", of, to), -MAX_NUMBER, MAX_NUMBER)
        case "clip":
            assert derived.min is not None and derived.max is not None
            return build.clip(of, derived.min, derived.max)
        case "bucket":
            assert derived.edges
            reached = to_float(node("GreaterOrEqual", of, constant(*derived.edges)))
            count = node("ReduceSum", reached, constant(1), keepdims=1)
            return node("Where", node("IsNaN", of), constant(float("nan")), count)
        case "differs":
            return to_float(node("Not", node("Equal", of, to)))
        case "age_in_days":
            return node("Div", to_float(node("Sub", to, of)), constant(float(DAY)))
        case "is_missing":
            return to_float(node("Equal", of, constant("")) if is_text else node("IsNaN", of))


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
        tensors.append(_derive(build, derived, is_text))
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
