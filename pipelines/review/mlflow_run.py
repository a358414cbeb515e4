"""The MLflow run of a review, in mlflow.db or on the server of MLFLOW_TRACKING_URI.

A run that cannot be logged does not change the verdict.
"""

import os
import re
from pathlib import Path
from typing import Any

from pipelines.cli.progress import Progress
from pipelines.config.paths import MODEL, SIGNATURE
from pipelines.config.read import PATH
from pipelines.model import mlflow_model
from pipelines.repository import dvc_lock
from pipelines.repository.leaves import leaves
from pipelines.review.findings import Findings

DATABASE = Path("mlflow.db")
PARAM_LENGTH = 500


def skipped() -> str | None:
    """Why nothing is logged, or None."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and os.environ.get("CI"):
        return "Not logged to MLflow: in CI that needs MLFLOW_TRACKING_URI."
    return None


def log(findings: Findings, folder: Path, progress: Progress) -> str | None:
    """Log a review whose report is already written.

    Args:
        folder: files of the report, which become artifacts.

    Returns:
        Why it could not be logged, or None.
    """
    mlflow_model.prepare()
    try:
        with progress.step("Logging to MLflow"):
            _log(findings, folder, os.environ.get("MLFLOW_TRACKING_URI") or _own_database())
    except Exception as error:  # whatever fails (server, database, disk), the verdict does not change
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return f"Not logged to MLflow: {reason}"
    return None


def _own_database() -> str:
    """The address of mlflow.db, made with all its tables at once: MLflow refuses one with only some of them."""
    import tempfile

    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    mlflow_model.silence_loggers()
    if not DATABASE.exists():
        with tempfile.TemporaryDirectory(prefix=f"{DATABASE}.", dir=DATABASE.absolute().parent) as scratch:
            made = Path(scratch) / DATABASE.name
            engine = create_sqlalchemy_engine(f"sqlite:///{made}")  # type: ignore[no-untyped-call]
            _initialize_tables(engine)  # type: ignore[no-untyped-call]
            engine.dispose()
            made.replace(DATABASE)
    return f"sqlite:///{DATABASE}"


def _log(findings: Findings, folder: Path, tracking_uri: str) -> None:
    import mlflow

    mlflow_model.silence_loggers()
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(findings.name)
    tags = {
        "commit": findings.head.sha or "",
        "branch": findings.head.ref,
        "verdict": findings.verdict,
        "base": findings.base.sha or "",
        "kind": findings.kind,
        "release": findings.release or "",
        "model_md5": findings.head.model or "",
    }
    with mlflow.start_run(run_name=f"{findings.head.ref} {(findings.head.sha or '')[:7]}", tags=tags):
        text = PATH.read_text(encoding="utf-8")
        # Names of columns are in the paths, and MLflow takes few signs in a name.
        named = {re.sub(r"[^/\w.\- :]", "_", path): value[:PARAM_LENGTH] for path, value in leaves(text)}
        mlflow.log_params(named)
        mlflow.log_metrics({row.name: row.head for row in findings.metrics if row.head is not None})
        mlflow.log_metric("gates_failed", len(findings.failures))
        _log_dataset(mlflow)
        mlflow.log_artifacts(str(folder), artifact_path="review")
        if findings.head.model:
            mlflow_model.log(MODEL, SIGNATURE)


def _log_dataset(mlflow: Any) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    md5 = dvc_lock.data_md5(dvc_lock.read())
    if md5:
        source = CodeDatasetSource(tags={"pointer": "data.dvc"})
        # Abstract only to mlflow's type hints: a data set with a name and a digest and nothing else.
        dataset = MetaDataset(source, name="data", digest=md5.removesuffix(".dir"))  # type: ignore[abstract]
        mlflow.log_input(dataset, context="training")
