"""Putting an image into production: the command of params.yaml, or by default a container on this host."""

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
from pipelines.release.container import PORT, Container, docker, running, wait

VARIABLE = "SERVICE_URL"
DEFAULT = "http://127.0.0.1:3000"
RUNNER = "RUNNER_ENVIRONMENT"  # `github-hosted` or `self-hosted`; GitHub sets it, and a workflow cannot change it
READY_SECONDS = 120.0  # from a deployment to the new id in /info
SALT = "PREDICTION_LOG_SALT"
# Where a log in a bucket is, and a key that lets the service write it.
BUCKET = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
KEY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SESSION = "AWS_SESSION_TOKEN"
# How long the service goes on to answer after it was asked to end: nobody stands between the port and its clients who
# would have to learn of it. And when it is killed; its own end takes less (serving/limits.py).
DRAIN_SECONDS, STOP_SECONDS = 0.1, 15


def url() -> str:
    """Where production answers.

    Raises:
        InputError: if SERVICE_URL is no address.
    """
    given = (os.environ.get(VARIABLE) or DEFAULT).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", given):
        shown = given.rpartition("@")[2]  # what stands before it may be a password
        raise InputError(
            f"{VARIABLE} (... {shown}) is not an http(s) address without user and password", f"Set it, as in {DEFAULT}."
        )
    return given


def report_missing_host(params: Params) -> bool:
    """Print what to set where the service would run on a machine that GitHub deletes when the job ends.

    Returns:
        Whether it is so. Nothing may be released then: the tags would name a service that nobody reaches.
    """
    if params.serving.deploy is not None or os.environ.get(RUNNER) != "github-hosted":
        return False
    print(
        "::notice title=Nothing is released::serving.deploy is null, and GitHub deletes this runner when the job ends. "
        "To release, set serving.deploy in params.yaml to a command that deploys the image, or the repository variable "
        "RELEASE_RUNNER to the label of a self-hosted runner."
    )
    return True


def deploy(params: Params, release: str, reference: str, version: str) -> None:
    """Put an image into production; where it already answers, nothing is done.

    Args:
        reference: REPOSITORY@DIGEST.
        version: the version's tag, which the service tells.

    Raises:
        Refused: if the service does not answer the new id; the old container of this host serves again.
    """
    if params.serving.deploy is None:
        with _alone(params.model_name):
            _run_here(params.model_name, release, reference, version)
        return
    said = {"RELEASE_ID": release, "IMAGE": reference, "MODEL_VERSION": version}
    try:
        done = subprocess.run(params.serving.deploy, env={**os.environ, **said}, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise InputError(f"serving.deploy cannot be run: {error}", "Mend serving.deploy in params.yaml.") from error
    if done.returncode:
        raise _refused(f"{params.serving.deploy[0]} ended with {done.returncode}")
    if not wait(url(), release, READY_SECONDS):
        raise _refused(f"{url()} answers {running(url())}, not {release}, after {READY_SECONDS:.0f} s")


def is_running(params: Params, release: str, reference: str) -> bool:
    """Whether production answers with a release; the default container's image is compared too."""
    if running(url()) != release:
        return False
    if params.serving.deploy is not None:
        return True
    return Container(_name(params.model_name)).inspect("{{.Config.Image}}") == reference


def _name(line: str) -> str:
    return f"{line}-production"


def _run_here(line: str, release: str, reference: str, version: str) -> None:
    """Exchange the container on this host. The old one is kept under another name until the new one answers.

    A kill between any two lines leaves one of three states, which the next run tells apart: the old one alone (under
    either name), both, the new one alone.
    """
    name, before = Container(_name(line)), Container(f"{line}-before")
    if before.inspect("{{.Id}}"):  # an earlier run was killed
        if name.inspect("{{.Config.Image}}") == reference and wait(url(), release, 5.0, alive=[name]):
            before.remove()
            return
        name.remove()
        docker("rename", before.name, name.name)
        docker("start", name.name)  # whatever comes now, production answers meanwhile
    if name.inspect("{{.Config.Image}}") == reference and running(url()) == release:
        return
    docker("pull", "--quiet", reference)  # before the old one stops
    had_one, served = name.inspect("{{.Id}}") is not None, running(url())
    if had_one:
        docker("rename", name.name, before.name)
        docker("stop", "--time", str(STOP_SECONDS), before.name)  # it drains
    try:
        _start(line, reference, version)
        if not wait(url(), release, READY_SECONDS, alive=[name]):
            raise _refused(f"the container does not answer as {release}: {name.logs() or running(url())}")
    except Refused:
        name.remove()
        if had_one:
            docker("rename", before.name, name.name)
            docker("start", name.name)
            if served:
                wait(url(), served, READY_SECONDS, alive=[name])
        raise
    before.remove()


def passed(environment: Mapping[str, str]) -> list[str]:
    """Names of the variables that the default container takes over from the environment of the release.

    Credentials of a session end with it, within hours: a service that got them would lose its log in silence.
    """
    names = [SALT]
    if _logs_to_bucket(environment):
        names += [*BUCKET, *(() if environment.get(SESSION) else KEY)]
    return [name for name in names if environment.get(name)]


def _logs_to_bucket(environment: Mapping[str, str]) -> bool:
    return environment.get("PREDICTION_LOG", "").startswith("s3://")


def _start(line: str, reference: str, version: str) -> None:
    address = urlsplit(url())
    host = address.hostname or ""
    # Published on that address if it is one of this host, else on all of them.
    bind = "127.0.0.1" if host == "localhost" else host if re.fullmatch(r"\d+(\.\d+){3}", host) else "0.0.0.0"  # noqa: S104
    port = address.port or (443 if address.scheme == "https" else 80)
    log = os.environ.get("PREDICTION_LOG") or "/predictions"
    if _logs_to_bucket(os.environ) and os.environ.get(SESSION):
        print(f"The service gets no credentials of {log}: these end with the job. It must have a role of its own.")
    Container.run(
        reference,
        f"--name={_name(line)}",
        "--restart=unless-stopped",
        f"--publish={bind}:{port}:{PORT}",
        f"--volume={line}-predictions:/predictions",
        # By name alone: a value among the arguments could be read by every process of this host.
        *(f"--env={variable}" for variable in passed(os.environ)),
        environment={"MODEL_VERSION": version, "PREDICTION_LOG": log, "DRAIN_SECONDS": str(DRAIN_SECONDS)},
    )


@contextmanager
def _alone(line: str) -> Iterator[None]:
    """One deployment at a time on this host; a killed one lets go."""
    path = Path(tempfile.gettempdir()) / f"mainline-{line}.lock"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600), "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _refused(what: str) -> Refused:
    return Refused(f"deployment: {what}", "Nothing was assigned. Mend it and run it again, or revert the merge.")
