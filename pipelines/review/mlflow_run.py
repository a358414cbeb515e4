"""One MLflow run a review, into SQLite on a laptop or the server of MLFLOW_TRACKING_URI. It never costs the verdict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipelines.cli.progress import Progress
from pipelines.config.paths import MODEL, SIGNATURE
from pipelines.config.read import PATH
from pipelines.model import mlflow_model
from pipelines.repository import dvc_lock
from pipelines.review.changes import leaves
from pipelines.review.findings import Findings

DATABASE = Path("mlflow.db")
PARAM_LENGTH = 500


def skipped() -> str | None:
    """Why nothing will be logged, or None."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and os.environ.get("CI"):
        return "Not logged to MLflow: in CI that needs MLFLOW_TRACKING_URI."
    return None


def log(found: Findings, folder: Path, progress: Progress) -> str | None:
    """Log a review that is already written.

    Args:
        folder: the report's files, which become artifacts.

    Returns:
        Why it could not be logged, or None.
    """
    mlflow_model.prepare()
    try:
        with progress.step("Logging to MLflow"):
            _log(found, folder, os.environ.get("MLFLOW_TRACKING_URI") or _own_database())
    except Exception as error:  # a server, a database, a disk: whatever it is, the verdict stands
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return f"Not logged to MLflow: {reason}"
    return None


def _own_database() -> str:
    """The address of mlflow.db, which appears with all its tables: MLflow never again opens one that has but some."""
    import tempfile

    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    mlflow_model.hush()
    if not DATABASE.exists():
        with tempfile.TemporaryDirectory(prefix=f"{DATABASE}.", dir=DATABASE.absolute().parent) as beside:
            made = Path(beside) / DATABASE.name
            engine = create_sqlalchemy_engine(f"sqlite:///{made}")  # type: ignore[no-untyped-call]
            _initialize_tables(engine)  # type: ignore[no-untyped-call]
            engine.dispose()
            made.replace(DATABASE)
    return f"sqlite:///{DATABASE}"


def _log(found: Findings, folder: Path, where: str) -> None:
    import mlflow

    mlflow_model.hush()
    mlflow.set_tracking_uri(where)
    mlflow.set_experiment(found.name)
    tags = {
        "commit": found.head.sha or "",
        "branch": found.head.ref,
        "verdict": found.verdict,
        "base": found.base.sha or "",
        "kind": found.kind,
        "release": found.release or "",
        "model_md5": found.head.model or "",
    }
    with mlflow.start_run(run_name=f"{found.head.ref} {(found.head.sha or '')[:7]}", tags=tags):
        text = PATH.read_text(encoding="utf-8")
        mlflow.log_params({path: value[:PARAM_LENGTH] for path, value in leaves(text)})
        mlflow.log_metrics({row.name: row.head for row in found.metrics if row.head is not None})
        mlflow.log_metric("gates_failed", len(found.failures))
        _log_dataset(mlflow)
        mlflow.log_artifacts(str(folder), artifact_path="review")
        if found.head.model:
            mlflow_model.log(MODEL, SIGNATURE)


def _log_dataset(mlflow: Any) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    md5 = dvc_lock.data_md5(dvc_lock.read())
    if md5:
        source = CodeDatasetSource(tags={"pointer": "data.dvc"})
        # Concrete to mlflow, abstract to its own type hints: a data set known by name and digest alone.
        dataset = MetaDataset(source, name="data", digest=md5.removesuffix(".dir"))  # type: ignore[abstract]
        mlflow.log_input(dataset, context="training")
