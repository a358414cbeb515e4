"""Exchanges of versions under load, and from every state that a kill, a crash or a person can leave."""

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from pipelines.cli.errors import Refused
from pipelines.deployment import replicas
from pipelines.deployment.front import Front
from pipelines.deployment.roles import Roles
from testing.docker import docker
from tests.engine.deployment.stub_host import StubHost
from tests.engine.deployment.stub_host import stub_host as stub_host
from tests.engine.deployment.stub_host import stub_images as stub_images

pytestmark = pytest.mark.engine


class Killed(BaseException):
    """What no code catches."""


def test_no_request_is_lost_in_exchanges_and_by_the_kill_of_a_replica(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    stub_host.check("one")
    with stub_host.load(at_least=10_000) as failures:
        stub_host.deploy("two")
        assert stub_host.get().json()["release"] == "two"
        stub_host.deploy("one")
        stub_host.settings["keep_previous"] = True
        stub_host.deploy("two")
        stub_host.deploy("one")  # its replicas are still started
        killed = next(name for name in stub_host.containers() if name.endswith("1"))
        docker("kill", killed)
        stub_host.deploy("one")
    assert failures == []
    stub_host.check("one")


STEPS: tuple[tuple[Any, str], ...] = (
    (replicas, "_start"),
    (replicas, "ensure_started"),
    (Front, "wait_until_up"),
    (Front, "_apply_map"),
    (Front, "apply"),
    (Front, "drain"),
    (replicas, "remove"),
)


def test_exchange_killed_at_any_step_loses_no_request_and_is_completed_by_the_next_run(
    stub_host: StubHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_host.deploy("two")
    with stub_host.load(clients=2) as failures:
        for number, (owner, name) in enumerate(STEPS):
            release = ("one", "two")[number % 2]
            with monkeypatch.context() as patch, pytest.raises(Killed):
                kill_after(patch, owner, name)
                stub_host.deploy(release)
            stub_host.deploy(release)
            stub_host.check(release)
            assert failures == [], name
    assert failures == []


def kill_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Let a function end the process once it has done its work."""
    function = getattr(owner, name)

    def run(*arguments: Any) -> None:
        function(*arguments)
        raise Killed

    monkeypatch.setattr(owner, name, run)


def test_version_that_does_not_come_up_leaves_the_old_one(stub_host: StubHost) -> None:
    with pytest.raises(Refused, match="does not start"):
        stub_host.deploy("crashes")
    assert stub_host.containers() == [f"{stub_host.model_name}-front"]
    stub_host.deploy("one")
    with stub_host.load(clients=2) as failures, pytest.raises(Refused, match="does not start"):
        stub_host.deploy("crashes")
    assert failures == []
    stub_host.check("one")


def occupy(stub_host: StubHost) -> None:
    """Take a replica's name for a container of another kind."""
    slot = Front(stub_host.host).read_roles().production
    docker("rm", "--force", f"{stub_host.model_name}-{slot}1")
    docker("run", "--detach", f"--name={stub_host.model_name}-{slot}1", "mainline-stub:two")


def mislabel(stub_host: StubHost) -> None:
    """Start a replica of another version in production's slot."""
    slot = Front(stub_host.host).read_roles().production
    docker("rm", "--force", f"{stub_host.model_name}-{slot}1")
    replicas._start(stub_host.host, str(slot), 1, stub_host.version("two"))


STATES: dict[str, Callable[[StubHost], Any]] = {
    "nothing happened": lambda _: None,
    "front killed": lambda stub_host: docker("kill", f"{stub_host.model_name}-front"),
    "front removed": lambda stub_host: docker("rm", "--force", f"{stub_host.model_name}-front"),
    "replica killed": lambda stub_host: docker("kill", replicas_of(stub_host)[0]),
    "replica removed": lambda stub_host: docker("rm", "--force", replicas_of(stub_host)[0]),
    "replicas removed": lambda stub_host: docker("rm", "--force", *replicas_of(stub_host)),
    "all removed": lambda stub_host: docker("rm", "--force", *stub_host.containers()),
    "half of another version": lambda stub_host: replicas._start(stub_host.host, "d", 1, stub_host.version("two")),
    "another version": lambda stub_host: stub_host.deploy("two"),
    "name taken": occupy,
    "wrong version in a slot": mislabel,
    "folder lost": lambda stub_host: shutil.rmtree(stub_host.folder),
    "roles lost": lambda stub_host: Front(stub_host.host).apply(Roles()),
}


def replicas_of(stub_host: StubHost) -> list[str]:
    return [name for name in stub_host.containers() if not name.endswith("-front")]


def test_any_state_converges_to_the_version(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    for name, change in STATES.items():
        change(stub_host)
        stub_host.deploy("one")
        try:
            stub_host.check("one")
        except AssertionError as error:
            raise AssertionError(f"after {name}: {error}") from error


def test_restarted_front_routes_as_before(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    stub_host.deploy("two")
    docker("restart", f"{stub_host.model_name}-front")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not is_answered(stub_host):
        time.sleep(0.05)
    stub_host.check("two")


def is_answered(stub_host: StubHost) -> bool:
    """Return whether production responds; the front refuses connections until it has started."""
    try:
        return stub_host.get().ok
    except requests.ConnectionError:
        return False
