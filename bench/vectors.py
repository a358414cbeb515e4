"""The part of the model after its features, for the peer whose clients compute these themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer

_FEATURES = "features"  # the tensor between the two parts of the graph


def cut(models: Path, path: Path) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Write the graph from the features on, and return the function from a row of JSON to the body of a vector."""
    scorer = Scorer(models / "model.onnx", models / "signature.json", threads=1)
    onnx.utils.extract_model(str(models / "model.onnx"), str(path), [_FEATURES], [scorer.signature.output])
    first = onnx.load(models / "model.onnx")
    first.graph.output.append(onnx.helper.make_tensor_value_info(_FEATURES, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(first.SerializeToString(), providers=["CPUExecutionProvider"])

    def body(row: Mapping[str, Any]) -> dict[str, Any]:
        feed = {
            item.name: encode(item, np.array([row.get(item.name)], dtype=object))[:, None]
            for item in scorer.signature.inputs
        }
        (features,) = session.run([_FEATURES], feed)
        return {_FEATURES: [None if value != value else value for value in features[0].tolist()]}

    return body
