"""The prediction service: models/model.onnx behind HTTP. It imports nothing of pipelines/; files are the contract."""

import os

# Nothing reports its use to anybody. ONNX Runtime would send the model's file name and its hashes to its maker.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
