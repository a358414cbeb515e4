"""ONNX Runtime writes an identifier of the machine before it sends telemetry, but not in CI, so CI is unset."""

import os
import subprocess
import sys

import pytest

from tests.engine.fixtures_repo import ROOT

SCORE = {
    "onnxruntime alone": "import onnxruntime; onnxruntime.InferenceSession(MODEL)",
    "the scorer": "from pipelines.model.scorer import Scorer; Scorer(MODEL, SIGNATURE)",
    "the service": "from serving.model import Model; Model(MODEL.parent)",
}


def created_files(code, model, folder):
    """Run code, and return the files that it created in its home and temporary folder."""
    folder.mkdir()
    places = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    header = f"from pathlib import Path; MODEL = Path({str(model.model)!r}); SIGNATURE = Path({str(model.signature)!r})"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **places}
    subprocess.run([sys.executable, "-c", f"{header}\n{code}"], env=environment, cwd=folder, check=True)
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["the scorer", "the service"])
def test_scorer_and_service_send_no_telemetry(name, logistic, tmp_path):
    assert created_files(SCORE[name], logistic, tmp_path / "quiet") == []


def test_onnxruntime_alone_writes_telemetry_files(logistic, tmp_path):
    assert created_files(SCORE["onnxruntime alone"], logistic, tmp_path / "loud")
