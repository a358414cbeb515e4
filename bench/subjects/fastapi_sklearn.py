"""FastAPI and scikit-learn as tutorials print it: the row as a DataFrame of one row into the pickled pipeline."""

import json
import os
import pickle
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI
from pydantic import create_model

signature = json.loads((Path(os.environ["BENCH_MODELS"]) / "signature.json").read_text())
pipeline = pickle.loads(Path(os.environ["BENCH_PIPELINE"]).read_bytes())

TYPES: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "category": str, "timestamp": datetime}
fields: dict[str, Any] = {
    item["name"]: (TYPES[item["type"]] | None, None) if item["nullable"] else (TYPES[item["type"]], ...)
    for item in signature["inputs"]
}
Row = create_model("Row", **fields)
app = FastAPI()


@app.post("/predict")
async def predict(row: Row):
    """Score one row."""
    frame = pd.DataFrame([row.model_dump()])
    return {"probability": float(pipeline.predict_proba(frame)[0, 1])}
