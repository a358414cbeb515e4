"""The canary on this host: a version that gets a share of the requests, until it is ended or its watch aborts it.

Only the watch (`python -m pipelines rollout --watch`) gives it requests, for a minute each time.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from pipelines.cli.errors import MainlineError
from pipelines.cli.files import write_text
from pipelines.deployment import replicas
from pipelines.deployment.exchange import choose_slot, retire
from pipelines.deployment.front import Front
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Version

ROLE = "canary"


@dataclass(frozen=True)
class Canary:
    """What `canary.json` in the front's folder holds.

    Attributes:
        percent: its share of the requests, as git has it.
        since: when this host began with it.
        aborted: why this host's watch took its requests away; empty while it has them.
        tag: of its assignment, such as `fraud#canary#3`; empty until that is pushed.
    """

    version: Version
    percent: int
    since: str
    aborted: str = ""
    tag: str = ""


def read(host: Host) -> Canary | None:
    """Return this host's canary, or None."""
    path = host.folder / "canary.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    document["version"] = Version(**document["version"])
    return Canary(**{"since": "", **document})


def ensure(host: Host, version: Version, percent: int, tag: str = "") -> None:
    """Let this host run a version beside production, for its watch to give it a share of the requests.

    `tag` is that of its assignment, empty before that is pushed. Raises Refused if the version does not come up;
    production is as it was.
    """
    front = Front(host)
    with front.lock():
        roles, state = front.read_roles(), read(host)
        if state is None or state.version != version:
            front.set_share(0)
            state = Canary(version, percent, since=datetime.now(UTC).isoformat())
        slot = choose_slot(roles, replicas.list_replicas(host), version)
        try:
            replicas.ensure_started(host, slot, version)
            front.wait_until_up(slot)
        except MainlineError:
            if slot != roles.canary:
                replicas.remove(replicas.list_replicas(host, slot))
            raise
        roles = replace(roles, canary=slot)
        front.apply(roles)
        newest = read(host)  # its watch may have aborted it meanwhile
        if newest is None or newest.version != version:
            newest = state
        _write(host, replace(newest, percent=percent, tag=tag))
        retire(host, front, roles)


def give_requests(host: Host, state: Canary) -> None:
    """Send the canary its share of the requests, from the next one on and for a minute; none if it was aborted."""
    Front(host).set_share(0 if state.aborted else state.percent)


def end(host: Host) -> None:
    """Send all requests to production, and remove the canary; do nothing without one."""
    front = Front(host)
    if read(host) is None and front.read_roles().canary is None:
        return
    with front.lock():
        roles = front.read_roles()
        if roles.canary:
            front.set_share(0)
            roles = replace(roles, canary=None)
            front.apply(roles)
            retire(host, front, roles)
        (host.folder / "canary.json").unlink(missing_ok=True)


def abort(host: Host, why: str) -> None:
    """Take the canary's requests away at once, without waiting for a process that changes the front meanwhile."""
    Front(host).set_share(0)
    if state := read(host):
        _write(host, replace(state, aborted=why))


def _write(host: Host, state: Canary) -> None:
    write_text(host.folder / "canary.json", json.dumps(asdict(state), indent=1) + "\n")
