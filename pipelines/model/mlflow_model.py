"""The model of a folder as MLflow holds one: the ONNX graph with its signature, an example and what it needs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipelines.model.encoding import encode
from pipelines.model.signature import Signature, load_signature

_TYPES = {"category": "object", "timestamp": "int64"}  # of the graph's inputs; the others are float32


def prepare() -> None:
    """Before MLflow is asked anything: give up soon a server that is down."""
    for name, value in {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}.items():
        os.environ.setdefault(name, value)


def hush() -> None:
    """Let MLflow's loggers tell of errors alone."""
    import logging

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def log(model: Path, signature: Path) -> str:
    """Log a model to the active run.

    Args:
        model: model.onnx.
        signature: its signature.json.

    Returns:
        The id that MLflow gives the logged model.
    """
    import mlflow
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    described: Signature = load_signature(signature)
    # As tensors of one column, which is what the graph takes: MLflow would give a column of a table no second axis.
    column = (-1, 1)
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(_TYPES.get(item.type, "float32")), column, item.name) for item in described.inputs
    ]
    outputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype("float32"), column, described.output)]
    logged: Any = mlflow.onnx.log_model(
        onnx.load(model),
        name="model",
        signature=ModelSignature(Schema(inputs), Schema(outputs)),
        input_example=_example(described),
        # Named here: inferring them would run the model in a process of its own.
        pip_requirements=["onnxruntime", "numpy"],
        metadata={"signature": json.dumps(described.to_json())},
        save_as_external_data=False,  # one file, byte for byte the one that was reviewed
    )
    return str(logged.model_id)


def _example(signature: Signature) -> dict[str, Any]:
    import numpy as np

    cells = {item.name: np.array([signature.example.get(item.name)], dtype=object) for item in signature.inputs}
    return {item.name: encode(item, cells[item.name])[:, None] for item in signature.inputs}
