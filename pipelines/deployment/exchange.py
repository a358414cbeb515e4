"""The exchange: put a version into production on this host without a lost request.

Each step leaves a state in which production responds, and which the next run completes: the version's replicas start
in a slot that has no role, the front's checks of them pass, one change of the front's roles sends it all requests, and
the old replicas end when their last response is sent.
"""

from __future__ import annotations

from pipelines.cli.errors import MainlineError
from pipelines.deployment import replicas
from pipelines.deployment.containers import Container, docker
from pipelines.deployment.front import Front, ensure_network
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Replica, Version
from pipelines.deployment.roles import SLOTS, Roles


def ensure_in_production(host: Host, version: Version) -> None:
    """Let this host serve a version, whatever state an earlier run, a crash or a person left.

    Raises Refused if the version does not come up; what was in production then still responds.
    """
    front = Front(host)
    with front.lock():
        ensure_network(host)
        roles, old = front.read_roles(), _list_containers_without_front(host)
        if roles.production and not old:
            front.ensure()  # first of all, so that production responds during the next steps
        slot = choose_slot(roles, replicas.list_replicas(host), version)
        try:
            replicas.ensure_started(host, slot, version)
            _replace_containers_without_front(front, old)
            front.wait_until_up(slot, list_slot(host, slot))
        except MainlineError:
            if slot not in roles.slots:
                replicas.remove(list_slot(host, slot))
            raise
        roles = roles.promote(slot, host.serving.keep_previous)
        front.apply(roles)
        retire(host, front, roles)


def retire(host: Host, front: Front, roles: Roles) -> None:
    """Remove the replicas that no role needs, after their last response."""
    unneeded = [
        replica
        for replica in replicas.list_replicas(host)
        if replica.slot not in roles.slots or replica.number > host.replicas
    ]
    for slot in {replica.slot for replica in unneeded}.difference(roles.slots):
        front.drain(slot)
    replicas.remove(unneeded)


def choose_slot(roles: Roles, existing: list[Replica], version: Version) -> str:
    """Return the slot that runs a version already (in the same role of the log), else a free one."""
    versions = {slot: {replica.version for replica in existing if replica.slot == slot} for slot in SLOTS}
    candidates = [*roles.slots, *(slot for slot in SLOTS if slot not in roles.slots)]
    for slot in candidates:
        if slot and versions[slot] == {version}:
            return slot
    # Of the free ones, rather an empty one than that of a killed run.
    return min((slot for slot in SLOTS if slot not in roles.slots), key=lambda slot: len(versions[slot]))


def list_slot(host: Host, slot: str) -> list[Replica]:
    """Return the replicas of a slot, running or not."""
    return [replica for replica in replicas.list_replicas(host) if replica.slot == slot]


def _list_containers_without_front(host: Host) -> list[Container]:
    """Return the containers of a deployment of before there was a front, which published the service's port."""
    names = (f"{host.model_name}-production", f"{host.model_name}-before")
    return [container for container in map(Container, names) if container.exists()]


def _replace_containers_without_front(front: Front, old: list[Container]) -> None:
    """Start the front; containers that hold its port end first, and are started again if it cannot run."""
    if old:
        front.pull()  # while they still respond
    for container in old:
        docker("stop", "--time", str(replicas.STOP_SECONDS), container.name)
    try:
        front.ensure()
    except MainlineError:
        for container in old:
            docker("start", container.name, check=False)
        raise
    for container in old:
        container.remove()
