"""Deploying an image: with the command of params.yaml, or by default as a container on this host."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.cli.errors import InputError, Refused
from pipelines.config.params import Params
from pipelines.release.container import PORT, Container, docker, running, wait_for_release

URL_VARIABLE = "SERVICE_URL"
DEFAULT_URL = "http://127.0.0.1:3000"
RUNNER = "RUNNER_ENVIRONMENT"  # `github-hosted` or `self-hosted`; set by GitHub, workflows cannot change it
READY_SECONDS = 120.0  # from the deployment to the new release id in /info
SALT = "PREDICTION_LOG_SALT"
# Region and endpoint of a log in a bucket, and the key to write it.
BUCKET = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
KEY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SESSION = "AWS_SESSION_TOKEN"
# How long the service keeps responding after SIGTERM: no balancer stands before the port that has to notice. Then how
# long Docker waits before it kills the container; the service needs less (serving/limits.py).
DRAIN_SECONDS, STOP_SECONDS = 0.1, 15


def service_url() -> str:
    """Return the URL of the service in production.

    Raises:
        InputError: if SERVICE_URL is not a valid URL.
    """
    url = (os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", url):
        shown = url.rpartition("@")[2]  # the part before it may be a password
        raise InputError(
            f"{URL_VARIABLE} (... {shown}) is not an http(s) URL without user and password",
            f"Set it, for example to {DEFAULT_URL}.",
        )
    return url


def report_missing_host(params: Params) -> bool:
    """Print what to set where the service would run on a machine that GitHub deletes when the job ends.

    Returns:
        Whether that is so. Nothing may be released then: the tags would name a service that cannot be reached.
    """
    if params.serving.deploy is not None or os.environ.get(RUNNER) != "github-hosted":
        return False
    print(
        "::notice title=Nothing is released::serving.deploy is null, and GitHub deletes this runner when the job ends. "
        "To release, set serving.deploy in params.yaml to a command that deploys the image, or the repository variable "
        "RELEASE_RUNNER to the label of a self-hosted runner."
    )
    return True


def deploy(params: Params, release_id: str, reference: str, version: str) -> None:
    """Put an image into production; do nothing if the default container already runs it.

    Args:
        params: settings whose `serving.deploy` is used.
        reference: REPOSITORY@DIGEST.
        version: the version's tag, which the service shows in /info.

    Raises:
        Refused: if the service does not respond with the new release id; the default deployment has then restored
            the old container.
    """
    if params.serving.deploy is None:
        with _lock_deployment(params.model_name):
            _replace_container(params.model_name, release_id, reference, version)
        return
    variables = {"RELEASE_ID": release_id, "IMAGE": reference, "MODEL_VERSION": version}
    command = params.serving.deploy
    try:
        done = subprocess.run(command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise InputError(f"params.yaml: serving.deploy cannot be run: {error}", "Fix serving.deploy.") from error
    if done.returncode:
        raise _deployment_error(f"{command[0]} ended with {done.returncode}")
    url = service_url()
    if not wait_for_release(url, release_id, READY_SECONDS):
        raise _deployment_error(f"{url} responds with {running(url)}, not {release_id}, after {READY_SECONDS:.0f} s")


def is_running(params: Params, release_id: str, reference: str) -> bool:
    """Return whether production runs a release; for the default deployment, compare the container's image too."""
    if running(service_url()) != release_id:
        return False
    if params.serving.deploy is not None:
        return True
    return Container(_container_name(params.model_name)).inspect("{{.Config.Image}}") == reference


def _container_name(model_name: str) -> str:
    return f"{model_name}-production"


def _replace_container(model_name: str, release_id: str, reference: str, version: str) -> None:
    """Replace the container on this host. The old one is kept under another name until the new one responds.

    A kill between any two lines leaves one of three states, which the next run tells apart: only the old container
    (under either name), both, or only the new one.
    """
    current, old = Container(_container_name(model_name)), Container(f"{model_name}-before")
    if old.inspect("{{.Id}}"):  # an earlier run was killed
        if current.inspect("{{.Config.Image}}") == reference and wait_for_release(
            service_url(), release_id, 5.0, containers=[current]
        ):
            old.remove()
            return
        current.remove()
        docker("rename", old.name, current.name)
        docker("start", current.name)  # so that production responds during the next steps
    if current.inspect("{{.Config.Image}}") == reference and running(service_url()) == release_id:
        return
    docker("pull", "--quiet", reference)  # before the old container stops
    has_old, old_release_id = current.inspect("{{.Id}}") is not None, running(service_url())
    if has_old:
        docker("rename", current.name, old.name)
        docker("stop", "--time", str(STOP_SECONDS), old.name)  # it drains
    try:
        _start_container(model_name, reference, version)
        if not wait_for_release(service_url(), release_id, READY_SECONDS, containers=[current]):
            output = current.logs() or running(service_url())
            raise _deployment_error(f"the container does not respond as {release_id}: {output}")
    except Refused:
        current.remove()
        if has_old:
            docker("rename", old.name, current.name)
            docker("start", current.name)
            if old_release_id:
                wait_for_release(service_url(), old_release_id, READY_SECONDS, containers=[current])
        raise
    old.remove()


def list_inherited_variables(environment: Mapping[str, str]) -> list[str]:
    """List the variables that the default container inherits from the environment of the release.

    Session credentials are left out: they expire within hours, and the service would then lose its log silently.
    """
    names = [SALT]
    if _logs_to_bucket(environment):
        names += [*BUCKET, *(() if environment.get(SESSION) else KEY)]
    return [name for name in names if environment.get(name)]


def _logs_to_bucket(environment: Mapping[str, str]) -> bool:
    return environment.get("PREDICTION_LOG", "").startswith("s3://")


def _start_container(model_name: str, reference: str, version: str) -> None:
    address = urlsplit(service_url())
    host = address.hostname or ""
    # Publish on the URL's host if it is an address of this machine, else on all addresses.
    bind = "127.0.0.1" if host == "localhost" else host if re.fullmatch(r"\d+(\.\d+){3}", host) else "0.0.0.0"  # noqa: S104
    port = address.port or (443 if address.scheme == "https" else 80)
    log = os.environ.get("PREDICTION_LOG") or "/predictions"
    if _logs_to_bucket(os.environ) and os.environ.get(SESSION):
        print(
            f"The service gets no credentials for {log}: session credentials expire with the job. "
            "Give the service a role of its own."
        )
    Container.run(
        reference,
        f"--name={_container_name(model_name)}",
        "--restart=unless-stopped",
        f"--publish={bind}:{port}:{PORT}",
        f"--volume={model_name}-predictions:/predictions",
        # Only the names: every process of this host can read the values of command line arguments.
        *(f"--env={variable}" for variable in list_inherited_variables(os.environ)),
        environment={"MODEL_VERSION": version, "PREDICTION_LOG": log, "DRAIN_SECONDS": str(DRAIN_SECONDS)},
    )


@contextmanager
def _lock_deployment(model_name: str) -> Iterator[None]:
    """Hold the lock that allows one deployment at a time on this host; the end of the process releases it."""
    path = Path(tempfile.gettempdir()) / f"mainline-{model_name}.lock"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _deployment_error(message: str) -> Refused:
    return Refused(f"deployment: {message}", "Nothing was assigned. Fix it and run again, or revert the merge.")
