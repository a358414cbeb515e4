"""Deploying a version, unless the hosts pull it: with the command of params.yaml, or as containers on this host."""

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
from pipelines.repository import tags
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
    if not isinstance(params.serving.deploy, tuple):
        ensure_in_production(Host.from_params(params), Version(release_id, reference, version))
        return
    remedy = "Fix it and run again, or revert the merge."
    beside = tags.find_canary(params.model_name)
    share = beside.annotation.weight or 0 if beside and beside.release_id != release_id else 0
    _run_command(params, Version(release_id, reference, version), "production", 100 - share, remedy)
    url = service_url()
    if not wait_for_release(url, release_id, READY_SECONDS):
        message = f"{url} responds with {running(url)}, not {release_id}, after {READY_SECONDS:.0f} s"
        raise Refused(f"deployment: {message}", remedy)


def ensure_deployed(params: Params, assignment: Assignment) -> None:
    """Deploy an assigned version, unless the hosts pull it or your command's service runs it.

    A command that splits requests is always run, also for the canary: one response does not tell what production is.
    """
    release_id, image = assignment.release_id, assignment.annotation.image
    if params.serving.is_pulled:
        return
    if params.serving.deploy is None:
        ensure_in_production(Host.from_params(params), Version(release_id, image, assignment.version))
        return
    last = next(reversed(tags.list_assignments(params.model_name, tags.CANARY)), None)
    is_split = params.serving.splits_requests
    failure = None
    if is_split and last and last.release_id != release_id:  # an abort does not wait for production
        try:
            _give_share(params, last)
        except Refused as error:  # nor does production wait for a canary that does not come up
            failure = error
    if is_split or running(service_url()) != release_id:
        deploy(params, release_id, image, assignment.version)
    else:
        print(f"{service_url()} responds with {release_id} already: serving.deploy was not run.")
    if is_split and last and last.release_id == release_id:  # promoted: production has it now
        _give_share(params, last)
    if failure:
        raise failure


def start_canary(params: Params, release_id: str, reference: str, version: str, percent: int) -> None:
    """Run a version beside production on this host, without requests; elsewhere, `ensure_canary` starts it.

    Raises Refused if it does not come up; production is as it was.
    """
    if params.serving.deploy is None:
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
    canary.ensure(host, version, assignment.annotation.weight, assignment.tag)
    start_verb("rollout", "--watch", log=host.folder / "watch.log")  # ends at once if one runs already


def _give_share(params: Params, last: Assignment) -> None:
    """Let the command give the last canary the share that git has, which is 0 after its end."""
    running_canary = tags.find_canary(params.model_name)
    weight = running_canary.annotation.weight or 0 if running_canary else 0
    version = Version(last.release_id, last.annotation.image, last.version)
    remedy = "Fix it and run `make reconcile`, or end the canary: make rollout ABORT=WHY."
    _run_command(params, version, canary.ROLE, weight, remedy)


def _run_command(params: Params, version: Version, role: str, weight: int, remedy: str) -> None:
    """Run the deploy command with what it needs in its environment and, where its words name it, in its words."""
    command = params.serving.deploy
    assert isinstance(command, tuple)
    variables = {
        "RELEASE_ID": version.release_id,
        "IMAGE": version.image,
        "MODEL_VERSION": version.tag,
        "ROLE": role,
        "WEIGHT": str(weight),
        "SERVICE_URL": service_url(),
    }
    words = [word.replace("{ROLE}", role).replace("{WEIGHT}", str(weight)) for word in command]
    try:
        done = subprocess.run(words, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise InputError(f"params.yaml: serving.deploy cannot be run: {error}", "Fix serving.deploy.") from error
    if done.returncode:
        raise Refused(f"deployment: {command[0]} ended with {done.returncode}", remedy)
