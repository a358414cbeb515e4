"""A rollout's steps in git: tags as GTO shows them, one issue, one revert. Other verbs are recorded, not run."""

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import InputError, Unreachable
from pipelines.config.params import Params, load
from pipelines.deployment.host import Host
from pipelines.release.compatibility import format_contract
from pipelines.repository import push_tags, tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.rollout import advance as module
from pipelines.rollout import follow_up
from pipelines.rollout.advance import abort, advance
from pipelines.rollout.records import Record, Records
from tests.engine.fixtures_repo import PARAMS
from tests.engine.monitor.log_files import SIGNATURE
from tests.engine.release.tag_repository import assign_version, make_once, register_version
from tests.engine.release.tag_repository import tag_repository as tag_repository
from tests.engine.rollout.logged_rollout import BEGAN, CANARY, PRODUCTION, label, write_arm
from tests.engine.rollout.test_decide import record as some_record

pytestmark = pytest.mark.repository


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The verbs that a rollout starts."""
    calls: list[tuple[str, ...]] = []

    def run_verb(*arguments: str) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(module, "run_verb", run_verb)
    monkeypatch.setattr(follow_up, "run_verb", run_verb)
    return calls


@pytest.fixture
def repository(
    tag_repository: Path, started: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A repository without tags, and the environment of a rollout."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PREDICTION_LOG", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    return tag_repository


@pytest.fixture
def params(repository: Path) -> Params:
    """Settings with a rollout, in a repository with version 1.0.0 in production and 1.1.0 as its canary."""

    def build() -> None:
        settings({"steps": [5, 25]})
        assign_version(register_version("a", (1, 0, 0)))
        commit_release(repository, "b")
        assign_version(register_version("b", (1, 1, 0)), tags.CANARY, weight=5)

    make_once("rollout", repository.parent, build)
    return load()


def settings(
    rollout: dict[str, Any], deploy: list[str] | str | None = None, labels: str | None = None, delay: int = 0
) -> Params:
    """Write params.yaml of the tests with a rollout."""
    document = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    document["serving"] |= {"deploy": deploy, "front_image": document["serving"]["base_image"]}
    document["schema"]["label_delay_days"] = delay
    document["monitor"] = {"labels": {"path": labels}} if labels else {}
    Path("params.yaml").write_text(yaml.safe_dump({**document, "rollout": rollout}))
    return load()


def commit_release(repository: Path, model: str) -> None:
    """Commit a model to main, so that main has a release id."""
    outputs = [{"path": f"models/{name}", "md5": model * 32} for name in ("model.onnx", "signature.json")]
    (repository / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"export": {"outs": outputs}}}))
    for name in ("serving/app.py", "requirements/serving.txt"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("1")
    git("add", "--all")
    git("commit", "--quiet", "-m", f"model {model}")
    git("push", "--quiet", "origin", "main")


def write_record(params: Params, **changed: Any) -> Record:
    """Let this host report the canary."""
    running = tags.find_canary("fraud")
    assert running
    written = some_record(**{"updated": datetime.now(UTC), "tag": running.tag, **changed})
    Records(Host.from_params(params)).write(written)
    return written


def listed() -> list[str]:
    """The tags of stages at origin."""
    lines = git("ls-remote", "--tags", "--refs", "origin", "refs/tags/fraud#*").splitlines()
    return sorted((line.partition("refs/tags/")[2] for line in lines), key=lambda tag: int(tag.rpartition("#")[2]))


def test_canary_steps_up_and_is_promoted(params: Params, started: list[tuple[str, ...]]) -> None:
    assert advance(params) == 0  # no host has reported yet
    assert listed() == ["fraud#production#1", "fraud#canary#2"]
    write_record(params)
    assert advance(params) == 0
    running = tags.find_canary("fraud")
    assert running and (running.tag, running.annotation.weight) == ("fraud#canary#3", 25)
    assert advance(params) == 0  # nothing is known of the new step
    write_record(params, percent=25)
    assert advance(params) == 0
    newest = tags.find_newest_assignment("fraud")
    assert newest and (newest.tag, newest.version) == ("fraud#production#4", "fraud@v1.1.0")
    assert (newest.annotation.weight, newest.main_commit) == (None, running.main_commit)
    assert tags.find_canary("fraud") is None
    assert started == [("release", "reconcile")] * 4  # also where nothing changes: an earlier run may have been killed


def test_what_a_killed_run_left_is_done_by_the_next(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tag is pushed, and the service does not know it yet."""
    codes: list[int] = []
    monkeypatch.setattr(module, "run_verb", lambda *words: subprocess.CompletedProcess(words, codes.pop()))
    codes.append(1)
    assert advance(params) == 1  # the canary's first tag
    running = tags.find_canary("fraud")
    assert running
    push_tags.assign_again(running, tags.PRODUCTION)
    codes.append(3)
    assert (advance(params), codes) == (3, [])
    push_tags.assign_again(running, tags.CANARY_END, why="promoted")
    now = time.time() + 100_000
    monkeypatch.setattr(
        module, "datetime", type("Later", (datetime,), {"now": lambda _: datetime.fromtimestamp(now, UTC)})
    )
    assert advance(params) == 0


def test_an_abort_that_does_not_reach_the_service_ends_with_its_code(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit_release(Path(), "c")  # main holds another release
    monkeypatch.setattr(module, "run_verb", lambda *words: subprocess.CompletedProcess(words, 3))
    assert abort("fraud", "customers complain") == 3
    assert "may still have requests" in capsys.readouterr().out


def test_worse_canary_is_ended_and_reverted_once(params: Params, started: list[tuple[str, ...]]) -> None:
    commit_release(Path(), "c")
    canary = tags.find_canary("fraud")
    assert canary
    git("tag", "--delete", canary.tag)
    git("push", "--quiet", "--delete", "origin", canary.tag)
    version = register_version("c", (1, 2, 0))
    fields = {"release": release_id("HEAD"), "weight": 5}
    assign_version(version, tags.CANARY, **fields)
    write_record(params, version="fraud@v1.2.0", state="worse", reasons=["its requests fail"])
    assert advance(params) == 1
    assert listed()[-1].startswith("fraud#canary!#")
    (end,) = tags.list_assignments("fraud", tags.CANARY_END)
    assert "its requests fail" in str(end.annotation.why)
    assert started[0] == ("release", "reconcile")
    assert started[1][:3] == ("rollback", "--to", "fraud@v1.0.0")
    main = git("rev-parse", "origin/main")
    git("push", "--quiet", "origin", f"HEAD:refs/heads/rollback/fraud-v1.0.0-{main[:8]}")
    assert advance(params) == 1  # while main holds it
    assert started[2:] == [("release", "reconcile")]
    commit_release(Path(), "d")
    assert advance(params) == 0


def test_person_ends_a_canary(params: Params, started: list[tuple[str, ...]]) -> None:
    abort("fraud", "customers complain")
    (end,) = tags.list_assignments("fraud", tags.CANARY_END)
    assert (end.tag, end.annotation.why, tags.find_canary("fraud")) == ("fraud#canary!#3", "customers complain", None)
    with pytest.raises(InputError):
        abort("fraud", "again")


def test_records_of_another_version_or_damaged_ones_do_not_count(params: Params) -> None:
    records = Records(Host.from_params(params))
    write_record(params, version="fraud@v1.1.0-rc", host="two")
    folder = Host.from_params(params).folder / "rollout"
    (folder / "fraud-v1.1.0-5-three.json").write_text("{")
    (folder / "fraud-v1.1.0-5-four.json").write_text(json.dumps({"version": "fraud@v9.0.0"}))
    assert records.read_all("fraud@v1.1.0", 5) == []
    write_record(params)
    assert [item.host for item in records.read_all("fraud@v1.1.0", 5)] == ["one"]


def test_a_host_whose_clock_is_behind_is_not_ignored(params: Params) -> None:
    write_record(params)
    write_record(params, host="two", updated=datetime(1970, 1, 1, tzinfo=UTC), state="worse", reasons=["fails"])
    advance(params)
    assert listed()[-1] == "fraud#canary!#3"


def test_a_canary_whose_tag_is_dated_in_the_future_is_ended(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its max_hours would never be over, and no logged request would be of its time."""
    version = register_version("c", (1, 2, 0))
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: 4_000_000_000.0)
        assign_version(version, tags.CANARY, weight=5)
    write_record(params, version=version.tag)
    advance(params)
    assert listed()[-1] == "fraud#canary!#4"
    assert "fraud#canary#3 is dated 2096-10-02" in capsys.readouterr().out


def test_a_record_of_an_earlier_try_does_not_count(params: Params) -> None:
    write_record(params, state="worse", reasons=["fails"], tag="fraud#canary#1")
    assert advance(params) == 0
    assert listed()[-1] == "fraud#canary#2"


@pytest.fixture
def log(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a prediction log; the versions have no tags yet."""
    settings({"steps": [5, 25]})
    commit_release(repository, "b")
    monkeypatch.setenv("PREDICTION_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def start_canary(monkeypatch: pytest.MonkeyPatch, weight: int) -> None:
    """Tag both versions, and give the canary a share as of three hours ago."""
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: BEGAN.timestamp() - 60)
        contract = json.loads(format_contract(SIGNATURE))
        assign_version(register_version("a", (1, 0, 0), contract=contract))
        canary = register_version("b", (1, 1, 0), contract=contract)
        assign_version(canary, tags.CANARY, weight=weight)


COMMAND = ["./deploy.sh", "{ROLE}", "{WEIGHT}"]
LIMITS = {"errors": 0.02, "p99_ms": 20, "scores": 0.2}


def test_canary_of_a_command_is_judged_by_the_log(
    log: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start_canary(monkeypatch, 25)
    params = settings({"steps": [25, 50], "limits": LIMITS}, COMMAND)
    assert advance(params) == 0  # there is no row
    assert listed()[-1] == "fraud#canary#2"
    started.clear()
    write_arm(log, PRODUCTION, 12_000, seed=1)
    write_arm(log, CANARY, 4000, seed=2)
    assert advance(params) == 0
    running = tags.find_canary("fraud")
    assert running and (running.annotation.weight, started) == (50, [("release", "reconcile")])


def test_canary_of_a_command_whose_requests_fail_is_ended(
    log: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start_canary(monkeypatch, 25)
    write_arm(log, PRODUCTION, 12_000)
    advance(settings({"steps": [25], "limits": LIMITS}, COMMAND))
    assert listed()[-1] == "fraud#canary!#3"
    assert started[0] == ("release", "reconcile")


@pytest.mark.parametrize(
    ("skills", "decide_on", "tag"),
    [
        ((0.0, 1.0), "log_loss", "fraud#production#3"),
        ((1.0, 0.0), None, "fraud#canary!#3"),
        ((1.0, 1.0), None, "fraud#production#3"),
    ],
)
def test_labels_decide_a_test_and_end_a_canary_that_is_worse(
    log: Path,
    started: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    skills: tuple[float, float],
    decide_on: str | None,
    tag: str,
) -> None:
    start_canary(monkeypatch, 50)
    rollout = {"steps": [50], "limits": LIMITS, "max_hours": 2} | ({"decide_on": decide_on} if decide_on else {})
    for release, skill, seed in ((PRODUCTION, skills[0], 1), (CANARY, skills[1], 2)):
        label(tmp_path / "labels", write_arm(log, release, 8000, seed=seed), skill)
    advance(settings(rollout, COMMAND, str(tmp_path / "labels")))
    assert listed()[-1] == tag


def test_a_test_without_a_decision_is_inconclusive(
    log: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start_canary(monkeypatch, 50)
    for release, seed in ((PRODUCTION, 1), (CANARY, 2)):
        write_arm(log, release, 8000, seed=seed)
    rollout, labels = {"steps": [50], "limits": LIMITS, "decide_on": "log_loss"}, str(tmp_path / "labels.csv")
    advance(settings(rollout, COMMAND, labels))
    assert listed()[-1] == "fraud#canary#2"
    advance(settings({**rollout, "max_hours": 2}, COMMAND, labels))
    (end,) = tags.list_assignments("fraud", tags.CANARY_END)
    assert "inconclusive" in str(end.annotation.why)


def test_labels_that_cannot_be_read_let_a_canary_wait_and_end(
    log: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "damaged.parquet"
    start_canary(monkeypatch, 50)
    for release, seed in ((PRODUCTION, 1), (CANARY, 2)):
        write_arm(log, release, 4000, seed=seed)
    Path("damaged.parquet").write_text("no table")
    rollout = {"steps": [50], "limits": LIMITS}
    assert advance(settings(rollout, COMMAND, path)) == 0
    assert listed()[-1] == "fraud#canary#2"
    assert path in capsys.readouterr().out
    advance(settings({**rollout, "max_hours": 2}, COMMAND, path))
    (end,) = tags.list_assignments("fraud", tags.CANARY_END)
    assert path in str(end.annotation.why)


def test_a_canary_that_cannot_be_judged_by_these_settings_is_refused(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="rollout"):
        advance(params.model_copy(update={"rollout": None}))
    for deploy in (COMMAND, "pull"):
        with pytest.raises(InputError, match="PREDICTION_LOG"):
            advance(settings({"steps": [5]}, deploy))
    monkeypatch.setenv("PREDICTION_LOG", "log")  # no URL
    with pytest.raises(InputError, match="PREDICTION_LOG"):
        advance(settings({"steps": [5]}, "pull"))


def test_a_test_needs_equal_arms_labels_and_a_loss_of_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        settings({"steps": [5, 50], "decide_on": "log_loss"})
    assert "[50]" in str(caught.value)
    with pytest.raises(InputError) as caught:
        settings({"steps": [50], "decide_on": "absolute_error"})
    with pytest.raises(InputError) as late:
        settings({"steps": [50], "decide_on": "log_loss", "max_hours": 24}, labels="labels", delay=1)
    assert "label_delay_days" in str(late.value)
    assert "log_loss or brier" in str(caught.value) and "monitor.labels" in str(caught.value)


def test_origin_that_is_away_changes_nothing_and_the_next_run_does_it_all(
    params: Params, started: list[tuple[str, ...]]
) -> None:
    write_record(params, state="worse", reasons=["its requests fail"])
    url, before = git("remote", "get-url", "origin"), git("tag")
    git("remote", "set-url", "origin", "/nowhere")
    with pytest.raises(Unreachable):
        advance(params)
    assert (git("tag"), started) == (before, [])
    git("remote", "set-url", "origin", url)
    advance(params)
    assert listed()[-1] == "fraud#canary!#3"
