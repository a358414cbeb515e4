"""FastAPI and ONNX Runtime by hand: a pydantic model of the row, a session of one thread, the answer's model."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, create_model

folder = Path(os.environ["BENCH_MODELS"])
signature = json.loads((folder / "signature.json").read_text())
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

TYPES: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "category": str, "timestamp": datetime}
fields: dict[str, Any] = {
    item["name"]: (TYPES[item["type"]] | None, None) if item["nullable"] else (TYPES[item["type"]], ...)
    for item in signature["inputs"]
}
Row = create_model("Row", **fields)
TEXTS = {item["name"] for item in signature["inputs"] if item["type"] == "category"}
TIMES = {item["name"] for item in signature["inputs"] if item["type"] == "timestamp"}


class Answer(BaseModel):
    """What a client gets."""

    probability: float
    decision: bool


app = FastAPI()


@app.post("/predict")
async def predict(row: Row) -> Answer:
    """Score one row."""
    feed = {}
    for name, value in row.__dict__.items():
        if name in TEXTS:
            feed[name] = np.array([[value or ""]], dtype=object)
        elif name in TIMES:
            time = value if value.tzinfo else value.replace(tzinfo=UTC)
            feed[name] = np.array([[int(time.timestamp())]], dtype=np.int64)
        else:
            feed[name] = np.array([[np.nan if value is None else value]], dtype=np.float32)
    (scores,) = session.run([signature["output"]], feed)
    probability = float(scores[0, 0])
    return Answer(probability=probability, decision=probability >= signature["threshold"])
