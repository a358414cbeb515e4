"""BentoML's quick start: a class with a model and an api; the row is a dict."""

import os
import pickle
from pathlib import Path
from typing import Any

import bentoml
import pandas as pd


@bentoml.service(workers=1)
class Quickstart:
    """The pickled pipeline behind `/predict`."""

    def __init__(self) -> None:
        self.pipeline = pickle.loads(Path(os.environ["BENCH_PIPELINE"]).read_bytes())

    @bentoml.api
    def predict(self, row: dict[str, Any]) -> dict[str, float]:
        """Score one row."""
        frame = pd.DataFrame([row])
        for name in os.environ["BENCH_TIMES"].split():
            frame[name] = pd.to_datetime(frame[name])
        return {"probability": float(self.pipeline.predict_proba(frame)[0, 1])}
