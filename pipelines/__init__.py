"""Mainline: merging to main deploys the model. `python -m pipelines VERB` runs a verb."""

import os

# Turn off usage reports of all libraries, however a verb, a stage or the scorer is started. ONNX Runtime reads its
# variable at import; without it, it sends the model's file name and hashes to its vendor.
QUIET = {
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "ORT_DISABLE_TELEMETRY": "1",
}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
