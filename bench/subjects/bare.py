"""A bare ASGI handler with msgspec and ONNX Runtime: no validation, no log, no metrics, no error but a crash."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime

folder = Path(os.environ["BENCH_MODELS"])
signature = json.loads((folder / "signature.json").read_text())
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

DTYPES: dict[str, Any] = {"category": object, "timestamp": np.int64}
cells = {item["name"]: np.empty((1, 1), DTYPES.get(item["type"], np.float32)) for item in signature["inputs"]}
missing = {item["name"]: "" if item["type"] == "category" else np.nan for item in signature["inputs"]}
times = [item["name"] for item in signature["inputs"] if item["type"] == "timestamp"]
outputs, threshold = [signature["output"]], signature["threshold"]
decode, encode = msgspec.json.Decoder(dict[str, Any]).decode, msgspec.json.Encoder().encode


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Score one row, whatever the path."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    row = decode(body)
    for name in times:
        row[name] = int(datetime.fromisoformat(row[name]).timestamp())
    for name, cell in cells.items():
        value = row.get(name)
        cell[0, 0] = missing[name] if value is None else value
    (scores,) = session.run(outputs, cells)
    probability = float(scores[0, 0])
    content = encode({"probability": probability, "decision": probability >= threshold})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
