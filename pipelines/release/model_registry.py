"""MLflow's model registry as a projection of git: a model version for each version, the champion in production.

It is rebuilt by registering all versions again. A model version gets its tag `release` (the release id) when it is
created, so that a run after a kill finds it and creates no second one.
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
SKIPPED = "MLflow: skipped, MLFLOW_TRACKING_URI is not set."
_KIND = "release"  # tag `kind` of the runs with released models; runs of reviews have other kinds
_READ_ONLY = "readonly database"  # SQLite's message, which MLflow reports as an internal error


def register_model(model_name: str, version: Version, models: Path, assignment: Assignment | None) -> str:
    """Register a version's model as a model version of MLflow, once.

    Args:
        models: the folder with model.onnx and signature.json.
        assignment: what put the version into production; its image and commit are recorded.

    Returns:
        What was done, in words.

    Raises:
        Unreachable: if the server, its database or its artifact store does not respond.
        Refused: if one of them rejects the request.
        InputError: if MLFLOW_TRACKING_URI needs a module that is not installed.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return SKIPPED
    tags = _build_tags(version, assignment)
    with _connect() as client:
        model_version = _versions_by_release_id(client, model_name).get(version.release_id)
        if model_version is None:
            run_id, model_id = _log_model(client, model_name, tags, models)
            source = f"models:/{model_id}"
            versions = _list_model_versions(client, model_name)
            model_version = next((listed for listed in versions if listed.source == source), None)
            if model_version is None:
                _create_registered_model(client, model_name)
                created = client.create_model_version(model_name, source, run_id, tags=tags, model_id=model_id)
                return f"MLflow: {version.tag} is version {created.version} of {model_name}."
        # Without an assignment the tags name the version's commit: right until the version is assigned.
        outdated = {
            key: value
            for key, value in tags.items()
            if key not in model_version.tags or (assignment and model_version.tags[key] != value)
        }
        for key, value in outdated.items():
            client.set_model_version_tag(model_name, model_version.version, key, value)
    return f"MLflow: {version.tag} is version {model_version.version} of {model_name} already."


def set_champion(model_name: str, release_id: str) -> str:
    """Point the alias `champion` to the model version of a release id.

    Returns:
        What was done, in words.

    Raises:
        InputError: if MLflow has no such model version.
        Unreachable, Refused: as `register_model`.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return SKIPPED
    with _connect() as client:
        model_version = _versions_by_release_id(client, model_name).get(release_id)
        if model_version is None:
            raise InputError(
                f"MLflow's {model_name} has no version with release id {release_id}",
                "Register it: `python -m pipelines release reconcile`.",
            )
        number = model_version.version
        if str(client.get_registered_model(model_name).aliases.get(CHAMPION)) == str(number):
            return f"MLflow: {CHAMPION} is version {number} of {model_name} already."
        client.set_registered_model_alias(model_name, CHAMPION, number)
    return f"MLflow: {CHAMPION} is version {number} of {model_name}."


def list_registered_versions(model_name: str) -> dict[str, str]:
    """Return release id -> number of all model versions; empty where MLFLOW_TRACKING_URI is not set.

    Raises:
        Unreachable, Refused, InputError: as `register_model`.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return {}
    with _connect() as client:
        versions = _versions_by_release_id(client, model_name)
        return {release_id: str(version.version) for release_id, version in versions.items()}


def _build_tags(version: Version, assignment: Assignment | None) -> dict[str, str]:
    return {
        "release": version.release_id,
        "version": version.tag,
        "image": (assignment or version).annotation.image,
        "main_commit": assignment.main_commit if assignment else version.commit,
        "model_md5": version.annotation.model,
    }


def _list_model_versions(client: Any, model_name: str) -> list[Any]:
    """List all model versions, the oldest first."""
    versions, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{model_name}'", page_token=token)
        versions += page
        token = page.token
        if not token:
            return sorted(versions, key=lambda version: int(version.version))


def _versions_by_release_id(client: Any, model_name: str) -> dict[str, Any]:
    """Return release id -> model version; of two with one release id, the older."""
    versions = reversed(_list_model_versions(client, model_name))
    return {version.tags["release"]: version for version in versions if "release" in version.tags}


def _create_registered_model(client: Any, model_name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model_name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise


def _log_model(client: Any, model_name: str, tags: dict[str, str], models: Path) -> tuple[str, str]:
    """Return run id and id of the logged model: of an earlier call if it is complete, else of a new one."""
    import mlflow

    experiment = mlflow.set_experiment(model_name)
    run_filter = f"tags.kind = '{_KIND}' and tags.release = '{tags['release']}'"
    run = next(iter(client.search_runs([experiment.experiment_id], run_filter, max_results=1)), None)
    if run is not None:
        model_filter = f"source_run_id = '{run.info.run_id}'"
        for model in client.search_logged_models([experiment.experiment_id], model_filter):
            if str(model.status) == "READY":
                client.set_terminated(run.info.run_id)  # the earlier call may have been killed just before its end
                return run.info.run_id, model.model_id
            client.delete_logged_model(model.model_id)
    # A run that was killed before its model was complete is continued.
    run_options = {"run_id": run.info.run_id} if run else {"run_name": tags["version"]}
    with mlflow.start_run(**run_options, tags=tags | {"kind": _KIND}) as active:
        return active.info.run_id, mlflow_model.log(models / "model.onnx", models / "signature.json")


@contextmanager
def _connect() -> Iterator[Any]:
    """Yield MLflow's client, and turn its errors into those of `register_model`."""
    mlflow_model.prepare()

    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    mlflow_model.silence_loggers()
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
            raise Refused(
                f"MLflow rejects the request: {reason}",
                "Fix it and run again. MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, give access.",
            ) from error
        raise Unreachable(
            f"MLflow cannot be reached: {reason}", "Check MLFLOW_TRACKING_URI and its server, then run again."
        ) from error


def _is_rejection(error: Exception) -> bool:
    """Return whether the server responded and rejected the request."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, PermissionError) or _READ_ONLY in str(error):
        return True
    status: int | None = None
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()  # type: ignore[no-untyped-call]
    status = status or getattr(getattr(error, "response", None), "status_code", None)  # of requests
    return status is not None and 400 <= status < 500 and status != 429
