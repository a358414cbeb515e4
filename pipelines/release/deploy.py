"""Deploying a version, unless the hosts pull it: with the command of params.yaml, or as containers on this host."""

from __future__ import annotations

import os
import subprocess

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.verbs import start_verb
from pipelines.config.params import Params
from pipelines.deployment import canary
from pipelines.deployment.exchange import ensure_in_production
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import READY_SECONDS, Version
from pipelines.deployment.service_client import running, service_url, wait_for_release
from pipelines.repository.tags import Assignment


def is_deleted_after_job() -> bool:
    """Return whether this machine is a runner that GitHub deletes when the job ends."""
    return os.environ.get("RUNNER_ENVIRONMENT") == "github-hosted"  # set by GitHub; a workflow cannot change it


def require_host(params: Params) -> None:
    """Raise InputError if the service would run on a machine that is deleted when the job ends."""
    if params.serving.deploy is None and is_deleted_after_job():
        raise InputError(
            "params.yaml: serving.deploy is null, so the service would run on this runner, which GitHub deletes when "
            "the job ends",
            "Set it to `pull` or to a command that deploys the image: docs/releases.md, Deploying.",
        )


def deploy(params: Params, release_id: str, reference: str, version: str) -> None:
    """Put an image (REPOSITORY@DIGEST) into production; on this host, do nothing if it already is.

    Raises Refused if the service does not respond with the new release id; on this host the old version still does.
    """
    command, url = params.serving.deploy, service_url()
    if not isinstance(command, tuple):
        ensure_in_production(Host.from_params(params), Version(release_id, reference, version))
        return
    variables = {"RELEASE_ID": release_id, "IMAGE": reference, "MODEL_VERSION": version}
    try:
        done = subprocess.run(command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise InputError(f"params.yaml: serving.deploy cannot be run: {error}", "Fix serving.deploy.") from error
    if done.returncode:
        raise _deployment_error(f"{command[0]} ended with {done.returncode}")
    if not wait_for_release(url, release_id, READY_SECONDS):
        raise _deployment_error(f"{url} responds with {running(url)}, not {release_id}, after {READY_SECONDS:.0f} s")


def ensure_deployed(params: Params, assignment: Assignment) -> None:
    """Deploy an assigned version, unless the hosts pull it or your command's service runs it."""
    release_id, image = assignment.release_id, assignment.annotation.image
    if params.serving.is_pulled:
        return
    if params.serving.deploy is None:
        ensure_in_production(Host.from_params(params), Version(release_id, image, assignment.version))
    elif running(service_url()) != release_id:
        deploy(params, release_id, image, assignment.version)


def start_canary(params: Params, release_id: str, reference: str, version: str, percent: int) -> None:
    """Run a version beside production on this host, without requests; do nothing if the hosts pull it.

    Raises Refused if it does not come up; production is as it was.
    """
    if not params.serving.is_pulled:
        canary.ensure(Host.from_params(params), Version(release_id, reference, version, canary.ROLE), percent)


def ensure_canary(params: Params, assignment: Assignment | None) -> None:
    """Let this host run the canary that git has, with a watch that gives it its share; without one, end it."""
    if params.serving.deploy is not None:
        return
    host = Host.from_params(params)
    if assignment is None or assignment.annotation.weight is None:
        canary.end(host)
        return
    version = Version(assignment.release_id, assignment.annotation.image, assignment.version, canary.ROLE)
    canary.ensure(host, version, assignment.annotation.weight)
    start_verb("rollout", "--watch", log=host.folder / "watch.log")  # ends at once if one runs already


def _deployment_error(message: str) -> Refused:
    return Refused(f"deployment: {message}", "Nothing was assigned. Fix it and run again, or revert the merge.")
