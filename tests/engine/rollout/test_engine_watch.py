"""The watch of a canary beside the real front: what it counts, when it takes the requests away, what it survives."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipelines.config.rollout import Limits, Rollout
from pipelines.deployment import canary
from pipelines.deployment.front import Front
from pipelines.rollout.counters import SCORE_BINS
from pipelines.rollout.records import Record, Records
from pipelines.rollout.watch import look, watch
from testing.docker import docker
from tests.engine.deployment.stub_host import StubHost
from tests.engine.deployment.stub_host import stub_host as stub_host
from tests.engine.deployment.stub_host import stub_images as stub_images

pytestmark = pytest.mark.engine
BINS = SCORE_BINS["classification"]
ROLLOUT = Rollout(steps=(20, 50), limits=Limits(errors=0.05, p99_ms=100), replay=0)


@pytest.fixture
def watched(stub_host: StubHost) -> Iterator[StubHost]:
    """A host with a version in production, whose canaries are watched every 0.2 seconds."""
    stub_host.settings["replicas"] = 1
    stub_host.deploy("one")
    yield stub_host
    canary.end(stub_host.host)


def start_canary(stub_host: StubHost, release: str, percent: int = 20) -> threading.Thread:
    """Start a canary and its watch."""
    canary.ensure(stub_host.host, replace(stub_host.version(release), role=canary.ROLE), percent)
    thread = threading.Thread(target=watch, args=(stub_host.host, ROLLOUT, BINS, 0.2), daemon=True)
    thread.start()
    return thread


def wait_for_state(stub_host: StubHost, *states: str, seconds: float = 90.0) -> Record:
    """Wait until the record of the canary has one of these states."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = canary.read(stub_host.host)
        record = state and Records(stub_host.host).read_own(state.version.tag, state.percent)
        if record and record.state in states:
            return record
        time.sleep(0.1)
    raise AssertionError(f"no record says {states}: {record}")


def test_equal_canary_gets_its_share_and_is_found_within_all_limits(watched: StubHost) -> None:
    start_canary(watched, "two")
    with watched.load(clients=4) as failures:
        record = wait_for_state(watched, "within", "worse")
    assert (record.state, failures) == ("within", [])
    production, share = record.requests
    assert 0.15 < share / (production + share) < 0.25


@pytest.mark.parametrize(("release", "reason"), [("fails", "fail"), ("slow", "longer"), ("shifted", "scores")])
def test_worse_canary_loses_its_requests_at_once(watched: StubHost, release: str, reason: str) -> None:
    start_canary(watched, release)
    with watched.load(clients=4):
        record = wait_for_state(watched, "within", "worse")
        assert record.state == "worse" and reason in record.reasons[0]
        assert Front(watched.host).read_share() == 0
        assert {watched.predict().json()["release"] for _ in range(60)} == {"one"}
        # A reconcile that still has the canary's tag gives it nothing.
        canary.ensure(watched.host, replace(watched.version(release), role=canary.ROLE), 20)
        time.sleep(1)
        assert {watched.predict().json()["release"] for _ in range(60)} == {"one"}


def test_canary_has_no_requests_without_a_watch_and_none_after_its_end(watched: StubHost) -> None:
    canary.ensure(watched.host, replace(watched.version("two"), role=canary.ROLE), 50)
    assert {watched.predict().json()["release"] for _ in range(40)} == {"one"}
    thread = start_canary(watched, "two", 50)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and watched.predict().json()["release"] != "two":
        time.sleep(0.05)
    assert watched.predict({}).ok
    canary.end(watched.host)
    assert {watched.predict().json()["release"] for _ in range(40)} == {"one"}
    thread.join(10)
    assert not thread.is_alive()
    watched.deploy("one")
    assert len(watched.containers()) == 2  # the front and one replica


def test_a_second_watch_ends_at_once(watched: StubHost) -> None:
    first = start_canary(watched, "two")
    time.sleep(0.5)
    second = multiprocessing.get_context("fork").Process(target=watch, args=(watched.host, ROLLOUT, BINS, 0.2))
    second.start()
    second.join(10)
    assert second.exitcode == 0 and first.is_alive()


def test_watch_goes_on_counting_after_it_and_the_front_were_killed(watched: StubHost) -> None:
    canary.ensure(watched.host, replace(watched.version("two"), role=canary.ROLE), 20)
    state = canary.read(watched.host)
    assert state is not None
    canary.give_requests(watched.host, state)
    look(watched.host, ROLLOUT, state, 1.0, BINS)
    for _ in range(30):
        watched.predict()
    before = look(watched.host, ROLLOUT, state, 1.0, BINS)
    assert sum(before.requests) == 30
    docker("kill", f"{watched.model_name}-front")
    watched.deploy("one")
    for _ in range(30):
        watched.predict()
    after = look(watched.host, ROLLOUT, state, 1.0, BINS)
    assert sum(after.requests) == 60
    assert after.evidence.counts.errors.sum() == 0
