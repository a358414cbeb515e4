"""The watch when something around it fails: clock, git, GitHub, the log's store, another watch. The front is a fake."""

import fcntl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from pipelines.cli.errors import Unreachable
from pipelines.config.params import parse
from pipelines.config.rollout import Limits, Rollout
from pipelines.deployment import canary, replicas
from pipelines.deployment.canary import Canary
from pipelines.deployment.front import Front
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Version
from pipelines.deployment.roles import Roles
from pipelines.rollout import counters
from pipelines.rollout import watch as module
from pipelines.rollout.records import Record, Records
from pipelines.rollout.watch import look, watch
from tests.engine.fixtures_repo import PARAMS
from tests.engine.rollout.test_counters import replica

ROLLOUT = Rollout(steps=(20,), limits=Limits(errors=0.05, p99_ms=100), replay=0)
BINS = counters.SCORE_BINS["classification"]
VERSION = Version("b" * 12, "image", "fraud@v1.1.0", canary.ROLE)


@dataclass
class Watched:
    """A host with a canary, whose replicas count as a test wants.

    Attributes:
        host: with a folder of its own.
        shares: that the front was told, in order.
        now: what production and canary have counted: requests and errors.
    """

    host: Host
    shares: list[float] = field(default_factory=list)
    now: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0), (0.0, 0.0)])

    def begin(self, **changed: str) -> Canary:
        """Start the canary, as `canary.ensure` does."""
        state = replace(Canary(VERSION, 20, since="now"), **changed)
        canary._write(self.host, state)
        return state

    def serve(self, requests: int, errors: int = 0) -> None:
        """Let both arms answer requests, four in five by production; the errors are the canary's."""
        production, canaries = self.now
        self.now = [
            (production[0] + requests * 0.8, 0.0),
            (canaries[0] + requests * 0.2, canaries[1] + errors),
        ]

    def record(self) -> Record:
        """The record of the canary's step."""
        record = Records(self.host).read_own(VERSION.tag, 20)
        assert record
        return record

    def run(self, *looks: Callable[[], None]) -> list[Record]:
        """Watch; before each look something happens. Returns the records of the looks."""
        records: list[Record] = []
        pending = list(looks)

        def sleep(_: float) -> None:
            records.append(self.record())
            if pending:
                pending.pop(0)()
            else:
                (self.host.folder / "canary.json").unlink()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "sleep", sleep)
            assert watch(self.host, ROLLOUT, BINS) == 0
        return records


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A host whose canary has begun; the folder is no repository."""
    document = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("PREDICTION_LOG", raising=False)
    monkeypatch.chdir(tmp_path)
    made = Watched(Host.from_params(parse(yaml.safe_dump(document))))
    made.host.folder.mkdir(parents=True)
    made.begin()
    monkeypatch.setattr(Front, "set_share", lambda _, percent: made.shares.append(percent))
    monkeypatch.setattr(Front, "read_roles", lambda _: Roles("a", None, "b"))
    monkeypatch.setattr(module, "_replay", lambda *_: None)
    monkeypatch.setattr(
        counters,
        "read_counters",
        lambda *_: {f"{role}/1": replica(*made.now[arm]) for arm, role in enumerate(counters.ROLES)},
    )
    return made


def jump(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Set the clock forwards or backwards; what counts seconds since the start does not jump."""

    class Clock(datetime):
        @classmethod
        def now(cls, zone: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + by

    monkeypatch.setattr(module, "datetime", Clock)


@pytest.mark.parametrize("by", [timedelta(days=400), timedelta(days=-400)])
def test_a_clock_that_jumps_changes_no_judgement_and_no_duration(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    def serve() -> None:
        watched.serve(1000)

    def serve_and_jump() -> None:
        watched.serve(1000)
        jump(monkeypatch, by)

    records = watched.run(serve, serve_and_jump, serve)
    assert [record.requests for record in records] == [(0, 0), (800, 200), (1600, 400), (2400, 600)]
    assert {record.state for record in records} == {"waiting"}
    assert 0 <= records[-1].seconds < 60
    assert abs(records[-1].updated - records[0].updated - by) < timedelta(minutes=1)
    assert set(watched.shares) == {20}


def test_a_machine_that_slept_has_watched_no_longer_than_a_look(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, slept = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: real() + slept)

    def sleep() -> None:
        nonlocal slept
        slept = 86_400.0

    records = watched.run(lambda: None, sleep, lambda: None)
    assert records[-1].seconds < 65


def test_an_abort_takes_effect_without_git_github_and_the_log_s_store(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICTION_LOG", "memory://log")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError(111, "the store is away")

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    store = Records(watched.host)._store
    assert store
    monkeypatch.setattr(type(store.filesystem), "pipe_file", refuse)
    monkeypatch.setattr(subprocess, "Popen", no_process)
    state = canary.read(watched.host)
    assert state
    with pytest.raises(Unreachable):
        look(watched.host, ROLLOUT, state, 10.0, BINS)
    watched.serve(500, errors=20)
    with pytest.raises(Unreachable):
        look(watched.host, ROLLOUT, state, 10.0, BINS)
    after = canary.read(watched.host)
    assert after and "fail" in after.aborted and watched.shares == [0]
    watched.run(lambda: None)
    assert watched.shares == [0, 0, 0]
    assert watched.record().state == "worse"


def test_an_aborted_canary_that_begins_again_is_judged_anew(watched: Watched) -> None:
    watched.run(lambda: watched.serve(500, errors=20))
    assert watched.record().state == "worse"
    watched.begin(since="later")
    (first, second) = watched.run(lambda: watched.serve(1000))
    assert (first.state, second.state) == ("waiting", "waiting")
    assert second.requests == (800, 200) and set(watched.shares[-2:]) == {20}


def test_two_watches_of_a_host_are_one(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    with (watched.host.folder / "watch.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert watch(watched.host, ROLLOUT, BINS) == 0
    assert (watched.shares, capsys.readouterr().out.count("Another process")) == ([], 1)


def test_an_abort_while_the_next_share_is_prepared_is_kept(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "list_replicas", lambda *_: [])
    monkeypatch.setattr(replicas, "ensure_started", lambda *_: canary.abort(watched.host, "its requests fail"))
    for name in ("wait_until_up", "apply"):
        monkeypatch.setattr(Front, name, lambda *_: None)
    canary.ensure(watched.host, VERSION, 50, "fraud#canary#4")
    state = canary.read(watched.host)
    assert state and state.aborted == "its requests fail"
    record = look(watched.host, ROLLOUT, state, 10.0, BINS)  # git, which has the next share by now, must learn of it
    assert (record.percent, record.tag, record.state) == (50, "fraud#canary#4", "worse")


def test_a_watch_that_starts_again_replays_nothing_that_it_would_count(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary's own counters do not tell a replayed request from a user's."""
    monkeypatch.setattr(module, "_replay", lambda *_: watched.serve(1000))
    watched.run(lambda: watched.serve(100))
    before = watched.record().requests
    watched.begin()
    watched.run(lambda: watched.serve(100))
    assert (before, watched.record().requests) == ((80, 20), (160, 40))
