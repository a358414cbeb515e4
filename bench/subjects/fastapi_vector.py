"""FastAPI and ONNX Runtime by hand, for clients that compute the features: a vector of floats into the estimator.

This is the strongest form of the peer. Types, missing values, categories and times are then the client's business.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

threshold = json.loads((Path(os.environ["BENCH_MODELS"]) / "signature.json").read_text())["threshold"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_VECTOR"], options, providers=["CPUExecutionProvider"])
(name,), (output,) = ([item.name for item in items] for items in (session.get_inputs(), session.get_outputs()))


class Vector(BaseModel):
    """What a client sends."""

    features: list[float | None]


class Answer(BaseModel):
    """What a client gets."""

    probability: float
    decision: bool


app = FastAPI()


@app.post("/predict")
async def predict(vector: Vector) -> Answer:
    """Score one row."""
    (scores,) = session.run([output], {name: np.array([vector.features], dtype=np.float32)})
    probability = float(scores[0, 0])
    return Answer(probability=probability, decision=probability >= threshold)
