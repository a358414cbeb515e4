"""The application without a server: one ASGI call after another, on one loop."""

import json
from pathlib import Path
from typing import Any

import onnx

from serving.app import App
from serving.metrics import Metrics
from serving.model import Model
from tests.engine.serving.live import Answer
from tests.engine.serving.samples import settings_of


class Entries:
    """A log that keeps the rows it gets, for each request."""

    def __init__(self) -> None:
        self.all: list[list[dict[str, Any]]] = []

    def put(self, time: float, rows: int, lines: bytes) -> None:
        self.all.append([json.loads(line) for line in lines.splitlines()])
        assert len(self.all[-1]) == rows


class CountedPredictions(Metrics):
    """Metrics that remember how many predictions were made."""

    def __init__(self) -> None:
        super().__init__("0123456789ab", None, "champion", ())
        self.rows = self.positive = 0

    def count_predictions(self, negative: int, positive: int) -> None:
        self.rows += negative + positive
        self.positive += positive


class Service:
    """An application, and what it logged and counted."""

    def __init__(self, model: Model, **limits: Any) -> None:
        self.log, self.metrics = Entries(), CountedPredictions()
        self.app = App(model, settings_of(Path("models"), **limits), self.log, self.metrics)

    async def ask(self, path: str, body: Any, **headers: str) -> Answer:
        """Return the response to a POST; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json", **{key.replace("_", "-"): value for key, value in headers.items()}}
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": raw}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, content = sent
        received = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], received, json.loads(content["body"]))


def tiny(folder: Path, formula: str = "Log(a)", task: str = "regression", **changes: Any) -> Path:
    """Write a model whose output is a formula of its one input, the nullable number `a`, and return its folder."""
    output = "value" if task == "regression" else "probability"
    graph = f"tiny (float[N,1] a) => (float[N,M] {output}) {{ {output} = {formula} }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}')
    onnx.save(model, folder / "model.onnx")
    document: dict[str, Any] = {
        "model_name": "tiny",
        "task": task,
        "target": "b",
        "candidate": "formula",
        "inputs": [{"name": "a", "type": "number", "nullable": True}],
        "output": output,
        "example": {"a": 1.0},
        "trained_until": "2026-01-01T00:00:00+00:00",
    }
    if task == "classification":
        document |= {"classes": ["no", "yes"], "threshold": 0.5}
    (folder / "signature.json").write_text(json.dumps(document | changes))
    return folder
