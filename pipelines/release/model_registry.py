"""MLflow's model registry as a projection of git: each registered release a version, production's the champion.

It is rebuilt by registering all versions again. A version's tag `release` says which release it is, and comes into
being with it, so that whoever is killed in between makes no second one.
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
_KIND = "release"  # of the runs that hold released models; those of reviews have other kinds
_READ_ONLY = "readonly database"  # SQLite's words, which MLflow takes for a server that is down


def put(name: str, version: Version, models: Path, assignment: Assignment | None) -> str:
    """Register a release's model as a version of the registered model, once.

    Args:
        name: the line of releases, which the registered model is called after.
        models: the folder with model.onnx and signature.json.
        assignment: what put the version into production; its image and commit are the ones to show.

    Returns:
        What was done, in words.

    Raises:
        Unreachable: if the server, its database or its store of artifacts cannot be reached.
        Refused: if one of them refuses.
        InputError: if what MLFLOW_TRACKING_URI names needs a module that is not installed.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return SKIPPED
    wanted = _tags(version, assignment)
    with _registry() as client:
        found = _by_release(client, name).get(version.release)
        if found is None:
            run, model = _logged(client, name, wanted, models)
            source = f"models:/{model}"
            found = next((each for each in _versions(client, name) if each.source == source), None)
            if found is None:
                _make_model(client, name)
                made = client.create_model_version(name, source, run, tags=wanted, model_id=model)
                return f"MLflow: {version.tag} is version {made.version} of {name}."
        # What was put without an assignment names the version's commit, which is right until there is one.
        lacking = {key: value for key, value in wanted.items() if key not in found.tags}
        changed = {key: value for key, value in wanted.items() if found.tags.get(key) != value} if assignment else {}
        for key, value in (lacking | changed).items():
            client.set_model_version_tag(name, found.version, key, value)
    return f"MLflow: {version.tag} is version {found.version} of {name} already."


def champion(name: str, release: str) -> str:
    """Let the alias `champion` name a release's version.

    Returns:
        What was done, in words.

    Raises:
        InputError: if the registry does not hold it.
        Unreachable, Refused: as `put`.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return SKIPPED
    with _registry() as client:
        found = _by_release(client, name).get(release)
        if found is None:
            raise InputError(
                f"MLflow's {name} has no version of release {release}",
                "Register it: `python -m pipelines release reconcile`.",
            )
        if str(client.get_registered_model(name).aliases.get(CHAMPION)) == str(found.version):
            return f"MLflow: {CHAMPION} is version {found.version} of {name} already."
        client.set_registered_model_alias(name, CHAMPION, found.version)
    return f"MLflow: {CHAMPION} is version {found.version} of {name}."


def known(name: str) -> dict[str, str]:
    """Release id -> version number of what the registry holds; empty without a registry.

    Raises:
        Unreachable, Refused, InputError: as `put`.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return {}
    with _registry() as client:
        return {release: str(found.version) for release, found in _by_release(client, name).items()}


def _tags(version: Version, assignment: Assignment | None) -> dict[str, str]:
    return {
        "release": version.release,
        "version": version.tag,
        "image": assignment.said.image if assignment else version.said.image,
        "main_commit": assignment.main_commit if assignment else version.commit,
        "model_md5": version.said.model,
    }


def _versions(client: Any, name: str) -> list[Any]:
    """All versions of the registered model, the oldest first."""
    found, page = [], None
    while True:
        answer = client.search_model_versions(f"name = '{name}'", page_token=page)
        found += answer
        page = answer.token
        if not page:
            return sorted(found, key=lambda version: int(version.version))


def _by_release(client: Any, name: str) -> dict[str, Any]:
    """Release id -> version; of two, the older."""
    return {v.tags["release"]: v for v in reversed(_versions(client, name)) if "release" in v.tags}


def _make_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise


def _logged(client: Any, name: str, tags: dict[str, str], models: Path) -> tuple[str, str]:
    """Run and id of the release's logged model: an earlier call's where one is whole, else a new one."""
    import mlflow

    experiment = mlflow.set_experiment(name)
    asked = f"tags.kind = '{_KIND}' and tags.release = '{tags['release']}'"
    run = next(iter(client.search_runs([experiment.experiment_id], asked, max_results=1)), None)
    if run is not None:
        begun = f"source_run_id = '{run.info.run_id}'"
        for model in client.search_logged_models([experiment.experiment_id], begun):
            if str(model.status) == "READY":
                client.set_terminated(run.info.run_id)  # it may have been killed just before its end
                return run.info.run_id, model.model_id
            client.delete_logged_model(model.model_id)
    # A run that was killed before its model was whole goes on.
    which = {"run_id": run.info.run_id} if run else {"run_name": tags["version"]}
    with mlflow.start_run(**which, tags=tags | {"kind": _KIND}) as active:
        return active.info.run_id, mlflow_model.log(models / "model.onnx", models / "signature.json")


@contextmanager
def _registry() -> Iterator[Any]:
    """MLflow's client; what goes wrong with it ends as documented for `put`."""
    mlflow_model.prepare()

    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    mlflow_model.hush()
    try:
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        yield mlflow.MlflowClient()
    except ImportError as error:
        # Of a database's driver, or of a store that is reached past the server.
        raise InputError(
            f"MLflow needs a module that is not installed: {error}",
            "Name a server (http://...) in MLFLOW_TRACKING_URI that passes artifacts on: `mlflow server`.",
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = re.sub(r"//[^/@\s]+@", "//***@", str(error).strip() or type(error).__name__).splitlines()[0][:300]
        if _refuses(error):
            raise Refused(
                f"MLflow refuses: {said}",
                "Mend what it names, run it again; rights come by MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN.",
            ) from error
        raise Unreachable(
            f"MLflow cannot be reached: {said}", "Look at MLFLOW_TRACKING_URI and its server, run it again."
        ) from error


def _refuses(error: Exception) -> bool:
    """Whether somebody said no, rather than nothing."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, PermissionError) or _READ_ONLY in str(error):
        return True
    status: int | None = None
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()  # type: ignore[no-untyped-call]
    status = status or getattr(getattr(error, "response", None), "status_code", None)  # of requests
    return status is not None and 400 <= status < 500 and status != 429
