"""The verb with labels: months in which fraud changes and quiet ones, and what follows from them."""

import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from pipelines.github.client import GitHub
from pipelines.monitor import actions, compaction, flow, history, metrics
from pipelines.repository import base_model, tags
from pipelines.repository.base_model import Base
from tests.engine.github.test_one_issue import IssueGitHub
from tests.engine.monitor.log_files import MONDAY, go_on
from tests.engine.monitor.quality_cases import WEEK, profile, write_month
from tests.engine.monitor.test_flow import World
from tests.engine.monitor.test_flow import model as model
from tests.engine.monitor.test_flow import world as world

pytestmark = pytest.mark.watch
WEEKS = 4


@pytest.fixture
def labelled(world: World, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose model has a promise, and whose labels are final after a week."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "signature.json").write_bytes((model / "signature.json").read_bytes())
    document = json.loads((model / "profile.json").read_text())
    document["promise"] = profile().model_dump(mode="json")["promise"]
    (folder / "profile.json").write_text(json.dumps(document))
    path = world.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["schema"]["label_delay_days"] = 7
    params["monitor"]["labels"] = {"path": str(tmp_path / "labels")}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    monkeypatch.setattr(base_model, "fetch_stored", lambda commit, _: Base(commit, folder, "cache", "m", "m"))
    monkeypatch.setattr(metrics, "json_at", lambda *_: {"test": {"roc_auc": 0.8}})
    monkeypatch.setattr(tags, "list_lasting_versions", lambda _: [])
    return world


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The verbs that the monitor starts."""
    calls: list[tuple[str, ...]] = []

    def run(*arguments: str) -> Any:
        calls.append(arguments)
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(actions, "run_verb", run)
    return calls


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, started: list[tuple[str, ...]]) -> IssueGitHub:
    """GitHub, with a pull request of each verb that was started."""
    made: Any = IssueGitHub()
    made.pages = lambda path, **_: iter([{"body": f"Why: {call[-1]}"} for call in started])
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    monkeypatch.setattr(GitHub, "from_environment", lambda: made)
    return made


def test_fraud_that_changes_opens_one_issue_and_starts_one_retraining_for_each_pass(
    labelled: World, started: list[tuple[str, ...]], github: IssueGitHub, tmp_path: Path
) -> None:
    write_month(labelled.log, tmp_path / "labels", WEEKS, changed_from=2)
    for day in (8, 15, 22):
        labelled.monitor(day, "--act")
    assert started == [] and github.all == {}
    for _ in range(2):
        out = labelled.monitor(29, "--act", code=1)
        assert "ALARM quality: the mean loss of 700 rows" in out
    ((verb, _, why),) = started
    assert verb == "retrain" and "evidence" in why
    (issue,) = github.all.values()
    assert issue["state"] == "open" and issue["title"].startswith("The deployed model is worse than promised")
    shown = json.loads(labelled.monitor(29, "--history", "fraud@v1.0.0"))
    assert [item["quality"]["labelled"] for item in shown] == [0, 700, 700, 700]
    assert [alarm["problem"] for item in shown for alarm in item["alarms"]] == ["quality"]
    assert json.loads(labelled.monitor(29, "--history", "fraud@v9.0.0")) == []


def test_a_message_that_a_killed_run_did_not_send_is_sent_once_by_the_next(
    labelled: World, started: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Response:
        def raise_for_status(self) -> None: ...

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    def send(_: str, json: Any, timeout: float) -> Response:
        sent.append(json["text"])
        return Response()

    sent: list[str] = []
    write_month(labelled.log, tmp_path / "labels", WEEKS, changed_from=2)
    monkeypatch.setenv("MONITOR_WEBHOOK", "https://hooks.example.org/secret")
    monkeypatch.setenv("GITHUB_TOKEN", "")
    monkeypatch.setattr(requests, "post", die)
    with pytest.raises(Killed):
        labelled.monitor(29, "--act")
    monkeypatch.setattr(requests, "post", send)
    for _ in range(2):
        labelled.monitor(29, "--act", code=1)
    assert len(sent) == 1 and "quality" in sent[0]


def test_a_run_that_is_killed_at_any_write_and_repeated_ends_as_one_that_was_not(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    writes = 0  # until the run is killed

    def count(write: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            nonlocal writes
            writes -= 1
            if writes == 0:
                raise Killed
            return write(*arguments)

        return counted

    world.traffic(0, 2)
    go_on(world.log, MONDAY + WEEK)
    lines = world.log.rename(tmp_path / "lines")
    monkeypatch.setattr(compaction, "_remove", count(compaction._remove))
    monkeypatch.setattr(compaction, "_upload", count(compaction._upload))
    for module in (history, flow):
        monkeypatch.setattr(module, "write_text", count(module.write_text))
    ends = []
    for number in range(100):
        writes = number
        world.log = shutil.copytree(lines, tmp_path / f"log-{number}")
        with suppress(Killed):
            world.monitor(8)
        is_killed = writes == 0
        if is_killed:
            world.monitor(8)
        files = [path for path in world.log.rglob("*") if path.is_file() and path.suffix != ".prom"]
        ends.append({str(path.relative_to(world.log)): path.stat().st_size for path in files})
        if number and not is_killed:
            break
    assert len(ends) == 11 and all(end == ends[0] for end in ends)


def test_labels_that_are_gone_are_an_alarm_and_the_rest_of_the_pass_is_judged(labelled: World, tmp_path: Path) -> None:
    write_month(labelled.log, tmp_path / "away", WEEKS)
    out = labelled.monitor(15)
    missing = f"no labels found at {tmp_path / 'labels'}"
    assert missing in out and "No alarm." in out
    assert "no labels found at" in (labelled.root / "reports/monitor/verdict.md").read_text()
    (tmp_path / "away").rename(tmp_path / "labels")
    assert "No alarm." in labelled.monitor(22)
    (tmp_path / "labels").rename(tmp_path / "away")
    assert f"ALARM service: {missing}" in labelled.monitor(29, code=1)
    assert missing in (labelled.root / "reports/monitor/index.html").read_text()
    shown = json.loads(labelled.monitor(29, "--history"))
    assert all(item["judged"] and item["drift"] for item in shown)
    assert [item["quality"]["labelled"] for item in shown] == [0, 0, 1400, 0]


def test_without_act_an_alarm_starts_nothing(
    labelled: World, started: list[tuple[str, ...]], github: IssueGitHub, tmp_path: Path
) -> None:
    write_month(labelled.log, tmp_path / "labels", WEEKS, changed_from=0)
    assert "ALARM quality" in labelled.monitor(29, code=1)
    assert started == [] and github.all == {}


def test_a_quiet_month_raises_no_alarm(
    labelled: World, started: list[tuple[str, ...]], github: IssueGitHub, tmp_path: Path
) -> None:
    write_month(labelled.log, tmp_path / "labels", WEEKS)
    assert "No alarm." in labelled.monitor(29, "--act")
    assert started == [] and github.all == {}


def test_github_that_does_not_respond_leaves_the_passes_and_the_next_run_acts(
    labelled: World,
    started: list[tuple[str, ...]],
    github: IssueGitHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_month(labelled.log, tmp_path / "labels", WEEKS, changed_from=0)
    monkeypatch.setattr(GitHub, "from_environment", lambda: GitHub("acme/fraud", "x", "http://127.0.0.1:9"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    labelled.monitor(29, "--act", code=3)
    assert started == [] and len(labelled.passes()) == WEEKS
    monkeypatch.setattr(GitHub, "from_environment", lambda: github)
    labelled.monitor(29, "--act", code=1)
    assert len(started) == 1 and len(github.all) == 1
