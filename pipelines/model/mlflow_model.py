"""Log a model to MLflow: the ONNX graph with its signature, an example and its requirements."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from pipelines.model.encoding import cell_encoder
from pipelines.model.signature import load_signature

_TYPES = {"category": "object", "timestamp": "int64"}  # of the inputs of the graph; all others are float32


def prepare() -> None:
    """Set short timeouts for MLflow, so that a server that is down fails soon; call before MLflow."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


def silence_loggers() -> None:
    """Make the loggers of MLflow print errors only."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def log(model: Path, signature: Path) -> str:
    """Log model.onnx and its signature.json to the active run; return the id of the logged model."""
    import mlflow
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    described = load_signature(signature)
    # Tensors with one column, because MLflow would pass a table's column without the second axis.
    column = (-1, 1)
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(_TYPES.get(item.type, "float32")), column, item.name) for item in described.inputs
    ]
    outputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype("float32"), column, described.output)]
    logged: Any = mlflow.onnx.log_model(
        onnx.load(model),
        name="model",
        signature=ModelSignature(Schema(inputs), Schema(outputs)),
        input_example={item.name: cell_encoder(item)(described.example.get(item.name)) for item in described.inputs},
        # Stated, because inferring them would run the model in another process.
        pip_requirements=["onnxruntime", "numpy"],
        metadata={"signature": json.dumps(described.to_json())},
        save_as_external_data=False,  # one file, with the bytes that were reviewed
    )
    return str(logged.model_id)
