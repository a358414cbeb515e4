"""ONNX Runtime writes an identifier of the machine before it reports its use; in CI it does neither, so CI is unset."""

from __future__ import annotations

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


def files_made(code, model, folder):
    """Files in the home and the temporary folder of a process that runs some code."""
    folder.mkdir()
    places = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    named = f"from pathlib import Path; MODEL = Path({str(model.model)!r}); SIGNATURE = Path({str(model.signature)!r})"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **places}
    subprocess.run([sys.executable, "-c", f"{named}\n{code}"], env=environment, cwd=folder, check=True)
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("who", ["the scorer", "the service"])
def test_whoever_scores_reports_nothing_to_the_maker_of_the_runtime(who, logistic, tmp_path):
    assert files_made(SCORE[who], logistic, tmp_path / "quiet") == []


def test_the_runtime_by_itself_would(logistic, tmp_path):
    assert files_made(SCORE["onnxruntime alone"], logistic, tmp_path / "loud")
