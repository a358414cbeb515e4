"""MLflow's model registry as a projection of git: a model version for each version, the champion in production.

It is rebuilt by registering all versions again. A model version gets its tag `release` (the release id) when it is
created, so that a run after a kill finds it and creates no second one. Every function raises Unreachable if MLflow does
not respond or rejects the request.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.cli.errors import Unreachable
from pipelines.model import mlflow_model
from pipelines.repository.tags import Assignment, Version


def list_registered_versions(model_name: str) -> dict[str, str]:
    """Return release id -> number of all model versions; of two with one release id, the lower."""
    with _connect() as client:
        versions = client.search_model_versions(f"name = '{model_name}'")  # up to 10,000
    versions.sort(key=lambda version: int(version.version), reverse=True)
    return {version.tags["release"]: str(version.version) for version in versions if "release" in version.tags}


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
        number = list_registered_versions(model_name).get(version.release_id)
        if number is None:
            run_id, model_id = _log_model(client, model_name, tags, models)
            if not client.search_registered_models(f"name = '{model_name}'"):
                client.create_registered_model(model_name)
            source = f"models:/{model_id}"
            number = client.create_model_version(model_name, source, run_id, tags=tags, model_id=model_id).version
    return f"MLflow: {version.tag} is version {number} of {model_name}."


def set_champion(model_name: str, assignment: Assignment) -> str:
    """Point the alias `champion` to the version in production, with its assignment's image and commit as tags."""
    with _connect() as client:
        number = list_registered_versions(model_name)[assignment.release_id]
        for key, value in {"image": assignment.annotation.image, "main_commit": assignment.main_commit}.items():
            client.set_model_version_tag(model_name, number, key, value)
        client.set_registered_model_alias(model_name, "champion", number)
    return f"MLflow: champion is version {number} of {model_name}."


def _log_model(client: Any, model_name: str, tags: dict[str, str], models: Path) -> tuple[str, str]:
    """Return run id and id of the logged model; continue the run of an earlier call that was killed."""
    import mlflow

    experiment = mlflow.set_experiment(model_name)
    # Runs of reviews have other values of the tag `kind`.
    run_filter = f"tags.kind = 'release' and tags.release = '{tags['release']}'"
    runs = client.search_runs([experiment.experiment_id], run_filter, max_results=1)
    new_run = {"run_name": tags["version"], "tags": tags | {"kind": "release"}}
    with mlflow.start_run(**({"run_id": runs[0].info.run_id} if runs else new_run)) as run:
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

    mlflow_model.silence_loggers()
    try:
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        yield mlflow.MlflowClient()
    except (ImportError, MlflowException, SQLAlchemyError, OSError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = re.sub(r"//[^/@\s]+@", "//***@", first_line)[:300]
        raise Unreachable(
            f"MLflow cannot be used: {reason}",
            "Fix MLFLOW_TRACKING_URI, its server or credentials (MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN).",
        ) from error
