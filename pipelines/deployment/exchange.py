"""The exchange: put a version into production on this host without a lost request.

Each step leaves a state in which production responds, and which the next run completes: the version's replicas start
in a slot that has no role, the front's checks of them pass, one change of the front's roles sends it all requests, and
the old replicas end when their last response is sent.
"""

from pipelines.cli.errors import MainlineError
from pipelines.deployment import replicas
from pipelines.deployment.front import Front
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Replica, Version
from pipelines.deployment.roles import SLOTS, Roles


def ensure_in_production(host: Host, version: Version) -> None:
    """Let this host serve a version, whatever state an earlier run, a crash or a person left.

    Raises Refused if the version does not come up; what was in production then still responds.
    """
    front = Front(host)
    with front.lock():
        front.ensure()  # first of all, so that production responds during the next steps
        roles = front.read_roles()
        slot = choose_slot(roles, replicas.list_replicas(host), version)
        try:
            replicas.ensure_started(host, slot, version)
            front.wait_until_up(slot)
        except MainlineError:
            if slot not in roles.slots:
                replicas.remove(replicas.list_replicas(host, slot))
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
