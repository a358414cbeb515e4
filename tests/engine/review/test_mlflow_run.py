"""One MLflow run a review. Needs MLflow, and SQLite in a folder of the test's own."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines.cli.progress import Progress
from pipelines.model.scorer import Scorer
from pipelines.review import mlflow_run
from pipelines.review.findings import Findings, GateResult, MetricRow, Side
from tests.engine.fixtures_model import SMALL

pytestmark = pytest.mark.repository
LOCK = "stages:\n  split:\n    deps:\n    - {path: data, md5: 0123456789abcdef.dir}\n"
FINDINGS = Findings(
    name="orders",
    task="classification",
    kind="comparison",
    headline="roc_auc",
    base=Side("main", "b" * 40, "1" * 32),
    head=Side("change", "a" * 40, "2" * 32),
    gates=(GateResult("floor", False, 0.5, 0.6, "too low"), GateResult("size", True, 1.0, 5.0, "small")),
    metrics=(MetricRow("roc_auc", 0.7, 0.8, 0.1, 0.05, 0.15), MetricRow("f1", None, None)),
    release="0123456789ab",
)


@pytest.fixture(scope="module")
def tree(logistic, tmp_path_factory):
    """A work tree with a model and a report, as a review leaves it."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "models").mkdir()
    shutil.copy(logistic.model, folder / "models/model.onnx")
    shutil.copy(logistic.signature, folder / "models/signature.json")
    signature = folder / "models/signature.json"
    row = logistic.rows()[0] | {"ordered_at": "2026-01-05T10:00:00Z", "usual_price": None, "shop": None}
    document = json.loads(signature.read_text())
    document["example"] = {name: row[name] for name in logistic.scorer().signature.names}
    signature.write_text(json.dumps(document))
    (folder / "params.yaml").write_text(SMALL)
    (folder / "dvc.lock").write_text(LOCK)
    report = folder / "reports/review"
    report.mkdir(parents=True)
    (report / "review.md").write_text("# Review\n")
    return folder


@pytest.fixture
def here(tree, monkeypatch):
    """That work tree as the current folder, without a word about MLflow in the environment."""
    monkeypatch.chdir(tree)
    for name in ("CI", "MLFLOW_TRACKING_URI", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return tree


def quiet() -> Progress:
    return Progress(Console(file=Path(os.devnull).open("w"), force_terminal=False))


def run_of(client: Any) -> Any:
    (experiment,) = [e for e in client.search_experiments() if e.name == "orders"]
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_a_review_is_one_run_with_all_its_findings(here, logistic):
    import mlflow
    import pandas as pd

    assert mlflow_run.log(FINDINGS, Path("reports/review"), quiet()) is None
    assert sorted(path.name for path in here.glob("mlflow.db*")) == ["mlflow.db"]
    client = mlflow.MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    run = run_of(client)
    assert run.data.params["gates.headline"] == '"roc_auc"'
    assert run.data.params["features.derive.hour.op"] == '"hour"'
    assert run.data.metrics == {"roc_auc": 0.8, "gates_failed": 1.0}
    tags = {name: run.data.tags[name] for name in ("commit", "branch", "verdict", "kind", "release", "model_md5")}
    assert tags == {"commit": "a" * 40, "branch": "change", "verdict": "fail", "kind": "comparison",
                    "release": "0123456789ab", "model_md5": "2" * 32}  # fmt: skip
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("data", "0123456789abcdef")
    assert [item.path for item in client.list_artifacts(run.info.run_id, "review")] == ["review/review.md"]

    model_id = run.outputs.model_outputs[0].model_id
    loaded = mlflow.pyfunc.load_model(f"models:/{model_id}")
    example = loaded.input_example
    scorer = Scorer(Path("models/model.onnx"), Path("models/signature.json"), threads=1)
    expected = scorer.score_row(scorer.signature.example)
    table = pd.DataFrame({name: values[:, 0] for name, values in example.items()})
    for asked, rows in ((example, 1), (table, 1), (pd.concat([table, table], ignore_index=True), 2)):
        answer = np.asarray(loaded.predict(asked)["probability"]).reshape(-1)
        assert answer == pytest.approx([expected] * rows, abs=1e-6)
    assert [column.name for column in loaded.metadata.signature.inputs] == list(scorer.signature.names)


def test_a_server_that_is_down_is_reported_and_raises_nothing(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    why = mlflow_run.log(FINDINGS, Path("reports/review"), quiet())
    assert why is not None and why.startswith("Not logged to MLflow: ")
    assert "127.0.0.1" in why and "\n" not in why


def test_without_a_server_nothing_is_logged_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert "in CI" in (mlflow_run.skipped() or "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert mlflow_run.skipped() is None
    monkeypatch.delenv("CI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert mlflow_run.skipped() is None


def test_a_review_killed_while_it_makes_the_database_leaves_none_that_mlflow_refuses(tmp_path):
    # Killed at the first table that is altered, in the middle of MLflow's migrations.
    script = """
import os, sqlite3, sqlalchemy
from pipelines.review import mlflow_run

@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *_):
    if statement.lstrip().upper().startswith("ALTER TABLE"):
        os.kill(os.getpid(), 9)

mlflow_run._own_database()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_a_database_that_mlflow_refuses_is_reported_and_kept(here):
    database = here / "mlflow.db"
    kept = database.rename(here / "kept.db") if database.exists() else None
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE runs (mine TEXT)")
    connection.close()
    before = database.read_bytes()
    why = mlflow_run.log(FINDINGS, Path("reports/review"), quiet())
    assert why is not None and why.startswith("Not logged to MLflow: ")
    assert b"mine TEXT" in database.read_bytes() and b"mine TEXT" in before
    database.unlink()
    if kept:
        kept.rename(database)
