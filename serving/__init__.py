"""The prediction service: models/model.onnx over HTTP. It shares files with pipelines/, and no code."""

import os

# No telemetry: ONNX Runtime would send the model's file name and hashes to its vendor.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
