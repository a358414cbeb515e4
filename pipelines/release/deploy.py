"""Deploying an image, unless the hosts pull it: with the command of params.yaml, or as a container on this host."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.cli.errors import InputError, Refused
from pipelines.config.params import Params
from pipelines.release.container import PORT, Container, docker, running, wait_for_release
from pipelines.repository.tags import Assignment

DEFAULT_URL = "http://127.0.0.1:3000"
READY_SECONDS = 120.0  # from the deployment to the new release id in /info
BUCKET = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")  # region and endpoint of a log in a bucket
KEY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SESSION = "AWS_SESSION_TOKEN"
DRAIN_SECONDS = 0.1  # for which the service responds after SIGTERM; short, since there is no load balancer
STOP_SECONDS = 15  # until Docker kills the container; the service needs less (serving/limits.py)


def service_url() -> str:
    """Return the URL of the service in production; InputError if SERVICE_URL is not a valid URL."""
    url = (os.environ.get("SERVICE_URL") or DEFAULT_URL).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", url):
        shown = url.rpartition("@")[2]  # the part before it may be a password
        raise InputError(
            f"SERVICE_URL (... {shown}) is not an http(s) URL without user and password",
            f"Set it, for example to {DEFAULT_URL}.",
        )
    return url


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
    """Put an image (REPOSITORY@DIGEST) into production; do nothing if the default container already runs it.

    Raises Refused if the service does not respond with the new release id; the default deployment has then restored the
    old container.
    """
    command, url = params.serving.deploy, service_url()
    if not isinstance(command, tuple):
        # Only one deployment at a time on this host; the end of the process releases the lock.
        with Path(tempfile.gettempdir(), f"mainline-{params.model_name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _replace_container(params.model_name, url, release_id, reference, version)
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
    """Deploy an assigned version unless it is running, or the hosts pull it."""
    image = assignment.annotation.image
    if not params.serving.is_pulled and not is_running(params, assignment.release_id, image):
        deploy(params, assignment.release_id, image, assignment.version)


def is_running(params: Params, release_id: str, reference: str) -> bool:
    """Return whether production runs a release; for the default deployment, compare the container's image too."""
    if running(service_url()) != release_id:
        return False
    return params.serving.deploy is not None or _production_container(params.model_name).has_image(reference)


def _production_container(model_name: str) -> Container:
    return Container(f"{model_name}-production")


def _replace_container(model_name: str, url: str, release_id: str, reference: str, version: str) -> None:
    """Replace the container on this host. The old one is kept under another name until the new one responds.

    A kill between any two lines leaves one of three states, which the next run distinguishes: only the old container
    (under either name), both, or only the new one.
    """
    current, old = _production_container(model_name), Container(f"{model_name}-before")
    if old.exists():  # an earlier run was killed
        if current.has_image(reference) and wait_for_release(url, release_id, 5.0, current):
            old.remove()
            return
        _restore_container(current, old)  # so that production responds during the next steps
    if current.has_image(reference) and running(url) == release_id:
        return
    docker("pull", "--quiet", reference)  # before the old container stops
    has_old, old_release_id = current.exists(), running(url)
    if has_old:
        docker("rename", current.name, old.name)
        docker("stop", "--time", str(STOP_SECONDS), old.name)  # it drains
    try:
        _start_container(model_name, url, reference, version)
        if not wait_for_release(url, release_id, READY_SECONDS, current):
            raise _deployment_error(f"the container does not respond as {release_id}: {current.logs() or running(url)}")
    except Refused:
        current.remove()
        if has_old:
            _restore_container(current, old)
            if old_release_id:
                wait_for_release(url, old_release_id, READY_SECONDS, current)
        raise
    old.remove()


def _restore_container(current: Container, old: Container) -> None:
    current.remove()
    docker("rename", old.name, current.name)
    docker("start", current.name)


def list_inherited_variables(environment: Mapping[str, str]) -> list[str]:
    """List the variables that the default container inherits from the environment of the release.

    Session credentials are left out: they expire within hours, and the service would then lose its log silently.
    """
    names = ["PREDICTION_LOG_SALT"]
    if _logs_to_bucket(environment):
        names += [*BUCKET, *(() if environment.get(SESSION) else KEY)]
    return [name for name in names if environment.get(name)]


def _logs_to_bucket(environment: Mapping[str, str]) -> bool:
    return environment.get("PREDICTION_LOG", "").startswith("s3://")


def _start_container(model_name: str, url: str, reference: str, version: str) -> None:
    address = urlsplit(url)
    host = (address.hostname or "").replace("localhost", "127.0.0.1")
    # Publish on the URL's host if it is an address of this machine, else on all addresses.
    bind = host if re.fullmatch(r"\d+(\.\d+){3}", host) else "0.0.0.0"  # noqa: S104
    port = address.port or (443 if address.scheme == "https" else 80)
    log = os.environ.get("PREDICTION_LOG") or "/predictions"
    if _logs_to_bucket(os.environ) and os.environ.get(SESSION):
        print(
            f"The service gets no credentials for {log}: session credentials expire with the job. "
            "Give the service a role of its own."
        )
    Container.run(
        reference,
        f"--name={_production_container(model_name).name}",
        "--restart=unless-stopped",
        f"--publish={bind}:{port}:{PORT}",
        f"--volume={model_name}-predictions:/predictions",
        # Only the names: every process of this host can read the values of command line arguments.
        *(f"--env={variable}" for variable in list_inherited_variables(os.environ)),
        environment={"MODEL_VERSION": version, "PREDICTION_LOG": log, "DRAIN_SECONDS": str(DRAIN_SECONDS)},
    )


def _deployment_error(message: str) -> Refused:
    return Refused(f"deployment: {message}", "Nothing was assigned. Fix it and run again, or revert the merge.")
