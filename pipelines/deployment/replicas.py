"""The replicas of a version: containers of the service, without a port of the host, in the front's network."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipelines.cli.errors import Refused
from pipelines.deployment.containers import PORT, Container, docker, pull_missing
from pipelines.deployment.host import Host

READY_SECONDS = 120.0  # from the start of a replica until it responds
STOP_SECONDS = 15  # until Docker kills the container; the service needs less (serving/limits.py)
BUCKET = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")  # region and endpoint of a log in a bucket
KEY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SESSION = "AWS_SESSION_TOKEN"
_LABELS = ("model", "slot", "number", "release", "version", "role")
# Asks the service from within its container: no port of it is published.
_WAIT = f"""
import json, sys, time
from urllib.request import urlopen
end, release = time.monotonic() + {READY_SECONDS}, None
while time.monotonic() < end:
    try:
        release = json.load(urlopen("http://127.0.0.1:{PORT}/info", timeout=5))["release"]
        if release == sys.argv[1] and urlopen("http://127.0.0.1:{PORT}/readyz", timeout=5).status == 200:
            sys.exit()
    except OSError:
        pass
    time.sleep(0.02)
sys.exit(f"/info responds with {{release}}")
"""


@dataclass(frozen=True)
class Version:
    """What a slot runs.

    Attributes:
        image: REPOSITORY@DIGEST.
        tag: such as `fraud@v1.4.0`.
        role: of its predictions in the log: `champion` or `canary`.
    """

    release_id: str
    image: str
    tag: str
    role: str = "champion"


@dataclass(frozen=True)
class Replica:
    """A container of the service, by its labels and its image; `address` is empty unless it runs."""

    container: Container
    slot: str
    number: int
    version: Version
    is_running: bool
    address: str


def list_replicas(host: Host, only: str | None = None) -> list[Replica]:
    """Return this model's replicas, running or not, of all slots or one."""
    names = docker("ps", "--all", "--quiet", f"--filter=label=mainline.model={host.model_name}").split()
    if not names:
        return []
    labels = "\t".join(f'{{{{index .Config.Labels "mainline.{label}"}}}}' for label in _LABELS)
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    template = f"{{{{.Id}}}}\t{{{{.State.Running}}}}\t{{{{.Config.Image}}}}\t{address}\t{labels}"
    # A container may have gone since; then its line is missing, and the command fails.
    lines = docker("container", "inspect", "--format", template, *names, check=False).splitlines()
    replicas = []
    for line in lines:
        container, running, image, ip, _, slot, number, release_id, tag, role = line.split("\t")
        if only in (slot, None):
            version = Version(release_id, image, tag, role)
            replicas.append(Replica(Container(container), slot, int(number or 0), version, running == "true", ip))
    return replicas


def ensure_started(host: Host, slot: str, version: Version) -> None:
    """Start the replicas of a slot that are missing, replace other ones, and wait until all respond; Refused if not."""
    replicas = {
        replica.number: replica.container
        for replica in list_replicas(host, slot)
        if replica.version == version and replica.is_running
    }
    numbers = range(1, host.replicas + 1)
    missing = [number for number in numbers if number not in replicas]
    if missing:
        pull_missing(version.image)
        with ThreadPoolExecutor(len(missing)) as pool:
            replicas |= dict(
                zip(missing, pool.map(lambda number: _start(host, slot, number, version), missing), strict=True)
            )
    for number in numbers:
        _wait_until_ready(replicas[number], version)


def remove(replicas: list[Replica]) -> None:
    """Stop containers, which then write their logs, and remove them."""
    ids = [replica.container.name for replica in replicas]
    if ids:
        docker("stop", "--time", str(STOP_SECONDS), *ids, check=False)
        docker("rm", "--force", "--volumes", *ids, check=False)


def list_inherited_variables(environment: Mapping[str, str]) -> list[str]:
    """List the variables that a replica inherits from the environment of the release.

    Session credentials are left out: they expire within hours, and the service would then lose its log silently.
    """
    names = ["PREDICTION_LOG_SALT"]
    if _logs_to_bucket(environment):
        names += [*BUCKET, *(() if environment.get(SESSION) else KEY)]
    return [name for name in names if environment.get(name)]


def _logs_to_bucket(environment: Mapping[str, str]) -> bool:
    return environment.get("PREDICTION_LOG", "").startswith("s3://")


def _start(host: Host, slot: str, number: int, version: Version) -> Container:
    name = f"{host.model_name}-{slot}{number}"
    Container(name).remove()  # one that has ended, or that is of another version
    log = os.environ.get("PREDICTION_LOG") or "/predictions"
    if number == 1 and _logs_to_bucket(os.environ) and os.environ.get(SESSION):
        print(
            f"The service gets no credentials for {log}: session credentials expire with the job. "
            "Give the service a role of its own."
        )
    environment = {
        "MODEL_VERSION": version.tag,
        "MODEL_ROLE": version.role,
        "PREDICTION_LOG": log,
        "DRAIN_SECONDS": "0",  # the front sends nothing more to a replica before it is stopped
    }
    values = (host.model_name, slot, str(number), version.release_id, version.tag, version.role)
    return Container.run(
        version.image,
        f"--name={name}",
        "--restart=unless-stopped",
        f"--network={host.network}",
        f"--volume={host.model_name}-predictions:/predictions",
        *(f"--label=mainline.{label}={value}" for label, value in zip(_LABELS, values, strict=True)),
        # Only the names: every process of this host can read the values of command line arguments.
        *(f"--env={variable}" for variable in list_inherited_variables(os.environ)),
        *(f"--env={name}={value}" for name, value in environment.items()),
    )


def _wait_until_ready(container: Container, version: Version) -> None:
    try:
        docker("exec", container.name, "python", "-c", _WAIT, version.release_id)
    except Refused as error:
        output = container.logs() or error
        message = f"the container does not respond as {version.release_id}: {output}"
        raise Refused(f"deployment: {message}", "Production is as it was. Fix it and run again.") from error
