"""Mainline: main is the production of a model. Every verb is run as `python -m pipelines VERB`."""

import os

# Nothing reports its use to anybody, however a verb, a stage or the scorer is started. ONNX Runtime reads its variable
# when it is imported; without it the model's file name and its hashes go to its maker.
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
