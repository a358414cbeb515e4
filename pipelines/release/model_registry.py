"""MLflow's model registry as a projection of git: a model version for each version, the champion in production.

It is rebuilt by registering all versions again. A model version gets its tag `release` (the release id) when it is
created, so that a run after a kill finds it and creates no second one. Every function raises

- Unreachable: if the server, its database or its artifact store does not respond,
- Refused: if one of them rejects the request,
- InputError: if MLFLOW_TRACKING_URI needs a module that is not installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.model import mlflow_model
from pipelines.repository.tags import Assignment, Version

CHAMPION = "champion"
_KIND = "release"  # tag `kind` of the runs with released models; runs of reviews have other kinds
_READ_ONLY = "readonly database"  # SQLite's message, which MLflow reports as an internal error


def list_registered_versions(model_name: str) -> dict[str, str]:
    """Return release id -> number of all model versions."""
    with _connect() as client:
        return _list_numbers(client, model_name)


def register_model(model_name: str, version: Version, models: Path) -> str:
    """Register a version's model as a model version of MLflow, once; return what was done, in words.

    Args:
        models: the folder with model.onnx and signature.json.
    """
    tags = {
        "release": version.release_id,
        "version": version.tag,
        "image": version.annotation.image,
        "main_commit": version.commit,
        "model_md5": version.annotation.model,
    }
    with _connect() as client:
        number = _list_numbers(client, model_name).get(version.release_id)
        if number is None:
            run_id, model_id = _log_model(client, model_name, tags, models)
            if not client.search_registered_models(f"name = '{model_name}'"):
                client.create_registered_model(model_name)
            source = f"models:/{model_id}"
            number = client.create_model_version(model_name, source, run_id, tags=tags, model_id=model_id).version
    return f"MLflow: {version.tag} is version {number} of {model_name}."


def set_champion(model_name: str, assignment: Assignment) -> str:
    """Point the alias `champion` to the version in production, and record its assignment's image and commit.

    Returns:
        What was done, in words.
    """
    with _connect() as client:
        number = _list_numbers(client, model_name)[assignment.release_id]
        for key, value in {"image": assignment.annotation.image, "main_commit": assignment.main_commit}.items():
            client.set_model_version_tag(model_name, number, key, value)
        client.set_registered_model_alias(model_name, CHAMPION, number)
    return f"MLflow: {CHAMPION} is version {number} of {model_name}."


def _list_numbers(client: Any, model_name: str) -> dict[str, str]:
    """Return release id -> number of all model versions; of two with one release id, the lower."""
    versions = client.search_model_versions(f"name = '{model_name}'")  # up to 10,000
    versions.sort(key=lambda version: int(version.version), reverse=True)
    return {version.tags["release"]: str(version.version) for version in versions if "release" in version.tags}


def _log_model(client: Any, model_name: str, tags: dict[str, str], models: Path) -> tuple[str, str]:
    """Return run id and id of the logged model; continue the run of an earlier call that was killed."""
    import mlflow

    experiment = mlflow.set_experiment(model_name)
    run_filter = f"tags.kind = '{_KIND}' and tags.release = '{tags['release']}'"
    runs = client.search_runs([experiment.experiment_id], run_filter, max_results=1)
    options = {"run_id": runs[0].info.run_id} if runs else {"run_name": tags["version"], "tags": tags | {"kind": _KIND}}
    with mlflow.start_run(**options) as run:
        run_id = run.info.run_id
        for model in client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run_id}'"):
            if str(model.status) == "READY":
                return run_id, model.model_id
            client.delete_logged_model(model.model_id)
        return run_id, mlflow_model.log(models / "model.onnx", models / "signature.json")


@contextmanager
def _connect() -> Iterator[Any]:
    """Yield MLflow's client, and turn its errors into this project's."""
    mlflow_model.prepare()

    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    mlflow_model.hush()
    try:
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        yield mlflow.MlflowClient()
    except ImportError as error:
        # The driver of a database, or of an artifact store that is reached without the server.
        raise InputError(
            f"MLflow needs a module that is not installed: {error}",
            "Set MLFLOW_TRACKING_URI to a server (http://...) that proxies artifacts: `mlflow server`.",
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = re.sub(r"//[^/@\s]+@", "//***@", first_line)[:300]
        if _is_rejection(error):
            access = "MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, give access."
            raise Refused(f"MLflow rejects the request: {reason}", f"Fix it and run again. {access}") from error
        remedy = "Check MLFLOW_TRACKING_URI and its server, then run again."
        raise Unreachable(f"MLflow cannot be reached: {reason}", remedy) from error


def _is_rejection(error: Any) -> bool:
    """Return whether the server responded and rejected the request."""
    if isinstance(error, PermissionError) or _READ_ONLY in str(error):
        return True
    status = getattr(getattr(error, "response", None), "status_code", None)  # of requests
    if hasattr(error, "get_http_status_code"):
        status = error.get_http_status_code()
    return status is not None and 400 <= status < 500 and status != 429
