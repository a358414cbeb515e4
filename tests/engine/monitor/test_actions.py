"""What follows from a verdict: issues, the message, and what a quality alarm starts."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pipelines.cli.errors import Unreachable
from pipelines.github.client import GitHub
from pipelines.monitor import actions
from pipelines.monitor.actions import (
    choose_verb,
    find_previous,
    format_issue,
    report_problems,
    send_message,
    start_verb,
)
from pipelines.monitor.history import Started
from pipelines.monitor.pass_record import Alarm, PassRecord, Quality, Verdict
from pipelines.repository import tags
from tests.engine.github.test_one_issue import IssueGitHub
from tests.engine.monitor.log_files import RELEASE
from tests.engine.monitor.quality_cases import START, WEEK, assignment, history, params, record

pytestmark = pytest.mark.repository

NOW = START + 4 * WEEK + timedelta(hours=2)
OLD, NEW = "fraud@v1.0.0", "fraud@v1.1.0"
ASSIGNMENTS = [assignment("a" * 12, OLD), assignment(RELEASE, NEW, START + WEEK)]


def quality(**more: Any) -> Quality:
    fields: dict[str, Any] = {
        "matured_from": START,
        "matured_to": START + WEEK,
        "predictions": 700,
        "labelled": 690,
        "corrected": 0,
        "metrics": (),
        "loss": 0.5,
        "limit": 0.3,
        "evidence": 900.0,
        "evidence_limit": 200.0,
        "previous_version": OLD,
        "previous_loss": 0.25,
        "previous_limit": 0.3,
        "previous_low": 0.2,
        "previous_gain": 0.1,
    }
    return Quality(**fields | more)


def bad_pass(week: int = 3, **more: Any) -> PassRecord:
    """A pass of the version in production with an alarm of quality."""
    alarm = Alarm(problem="quality", name="loss", message="the mean loss is 0.5")
    return record(week, quality(**more), version=NEW, alarms=(alarm,))


def verdict(*records: PassRecord, alarms: list[Alarm] | None = None) -> Verdict:
    found = [alarm for item in records for alarm in item.alarms] if alarms is None else alarms
    return Verdict(model_name="fraud", made_at=NOW, passes=records, alarms=tuple(found))


def settings(**monitor: Any) -> Any:
    made = params("labels")
    return made.model_copy(update={"monitor": made.monitor.model_copy(update=monitor)})


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that were not rolled back."""
    names = [NEW, OLD]

    class Version:
        def __init__(self, tag: str) -> None:
            self.tag = tag

    monkeypatch.setattr(tags, "list_lasting_versions", lambda _: [Version(name) for name in names])
    return names


def choose(item: PassRecord, started: list[Started] | None = None, **monitor: Any) -> str | None:
    start = choose_verb(settings(**monitor), verdict(item), started or [], ASSIGNMENTS, NOW)
    if start is None:
        return None
    return " ".join((start.verb, *start.arguments))


def test_only_a_quality_alarm_of_the_version_in_production_starts_something(lasting: list[str]) -> None:
    assert choose(bad_pass()) == "retrain"
    drift = Alarm(problem="drift", name="amount", message="amount has shifted")
    assert choose(record(3, quality(), version=NEW, alarms=(drift,))) is None
    assert choose(bad_pass().model_copy(update={"release_id": "a" * 12})) is None
    assert choose(bad_pass(), retrain=False) is None


@pytest.mark.parametrize(
    ("more", "verb"),
    [
        ({}, f"rollback --to {OLD}"),
        ({"previous_loss": 0.31}, f"rollback --to {OLD}"),
        ({"previous_loss": 0.4, "previous_low": 0.31}, "retrain"),
        ({"previous_gain": -0.01}, "retrain"),
        ({"previous_loss": None, "previous_limit": None, "previous_low": None, "previous_gain": None}, "retrain"),
        ({"previous_gain": None}, "retrain"),  # a record of before
    ],
)
def test_a_rollback_needs_a_previous_version_shown_to_be_better_and_not_shown_to_break_its_promise(
    lasting: list[str], more: dict[str, Any], verb: str
) -> None:
    assert choose(bad_pass(**more), rollback=True) == verb
    assert choose(bad_pass(**more)) == "retrain"


def test_nothing_is_rolled_back_to_a_version_that_was_rolled_back(lasting: list[str]) -> None:
    lasting.remove(OLD)
    assert choose(bad_pass(), rollback=True) == "retrain"
    assert find_previous(ASSIGNMENTS, RELEASE, "fraud") is None


def test_a_verb_is_started_once_for_a_pass_and_a_rollback_once_for_a_version_and_a_day(lasting: list[str]) -> None:
    end = bad_pass().end
    week_ago, hour_ago = NOW - WEEK, NOW - timedelta(hours=1)
    same_pass = Started(version=NEW, end=end, verb="retrain", at=hour_ago)
    assert choose(bad_pass(), [same_pass], rollback=True) is None
    same_version = Started(version=NEW, end=end - WEEK, verb="rollback", at=week_ago)
    assert choose(bad_pass(), [same_version], rollback=True) == "retrain"
    other_today = Started(version=OLD, end=end - WEEK, verb="rollback", at=hour_ago)
    assert choose(bad_pass(), [other_today], rollback=True) == "retrain"
    other_before = other_today.model_copy(update={"at": week_ago})
    assert choose(bad_pass(), [other_before], rollback=True) == f"rollback --to {OLD}"


def test_a_start_in_the_future_by_a_clock_that_was_ahead_stops_nothing(lasting: list[str]) -> None:
    end, later = bad_pass().end, NOW + 10 * WEEK
    ahead = Started(version=OLD, end=end, verb="rollback", at=later)
    assert choose(bad_pass(), [ahead], rollback=True) == f"rollback --to {OLD}"
    refused = Started(version=NEW, end=end, verb="retrain", at=later, done=False)
    assert choose(bad_pass(), [refused]) == "retrain"


def test_the_previous_version_is_the_newest_other_one(lasting: list[str]) -> None:
    again = [*ASSIGNMENTS, assignment("b" * 12, "fraud@v1.2.0", START + 2 * WEEK)]
    lasting.append("fraud@v1.2.0")
    previous = find_previous(again, "b" * 12, "fraud")
    assert previous and previous.version == NEW
    assert find_previous(again, "a" * 12, "fraud") is None


class Runs:
    """The verbs that the monitor starts, and the pull requests that they open.

    Attributes:
        code: with which a verb ends.
        opens: whether it opens its pull request.
        fails: whether GitHub does not respond.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.pulls: list[dict[str, Any]] = []
        self.code, self.opens, self.fails = 0, True, False

    def run(self, *arguments: str) -> Any:
        self.calls.append(arguments)
        if self.opens:
            self.pulls.append({"body": f"Why: {arguments[-1]}\n\nMore."})
        return subprocess.CompletedProcess([], self.code)

    def pages(self, path: str, state: str) -> Any:
        if self.fails:
            raise Unreachable("GitHub does not respond", "Run again.")
        return iter([{"body": None}, *self.pulls])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = Runs()
    monkeypatch.setattr(actions, "run_verb", made.run)
    monkeypatch.setattr(GitHub, "from_environment", lambda: made)
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    return made


def run_monitor(log: Path, hours: float = 0, **monitor: Any) -> None:
    """What a run of the monitor does, so many hours after the first."""
    now = NOW + timedelta(hours=hours)
    start_verb(settings(**monitor), verdict(bad_pass()), history(log), ASSIGNMENTS, now)


@pytest.mark.parametrize(("code", "opens"), [(0, True), (0, False), (1, True), (3, True)])
def test_a_start_that_opened_its_pull_request_or_ended_with_0_is_done(
    lasting: list[str], tmp_path: Path, runs: Runs, code: int, opens: bool
) -> None:
    runs.code, runs.opens = code, opens
    for hours in (0, 1, 25, 200):
        run_monitor(tmp_path, hours, rollback=True)
    ((verb, option, to, _, why),) = runs.calls
    assert (verb, option, to) == ("rollback", "--to", OLD)
    assert "0.5 on 690 labelled" in why and "fraud@v1.0.0 has 0.25, with a limit of 0.3" in why and "0.1" in why


@pytest.mark.parametrize("fails", [False, True])
def test_one_that_was_refused_or_failed_is_tried_three_times_a_day_apart(
    lasting: list[str], tmp_path: Path, runs: Runs, fails: bool
) -> None:
    runs.code, runs.opens, runs.fails = 3, False, fails
    tried = {}
    for hours in (0, 22, 24, 48, 72, 200):
        run_monitor(tmp_path, hours)
        tried[hours] = len(runs.calls)
    assert tried == {0: 1, 22: 1, 24: 2, 48: 3, 72: 3, 200: 3}
    assert not any(item.done for item in history(tmp_path).started())


def test_a_second_try_that_succeeds_is_the_last(lasting: list[str], tmp_path: Path, runs: Runs) -> None:
    runs.code, runs.opens = 3, False
    run_monitor(tmp_path)
    runs.code, runs.opens = 0, True
    for hours in (24, 48, 72):
        run_monitor(tmp_path, hours)
    assert len(runs.calls) == 2 and [item.done for item in history(tmp_path).started()] == [False, True]


def test_a_pull_request_of_a_killed_run_is_not_opened_again(lasting: list[str], tmp_path: Path, runs: Runs) -> None:
    run_monitor(tmp_path)
    for path in (tmp_path / "monitor/started").iterdir():
        path.unlink()
    run_monitor(tmp_path, 1)
    assert len(runs.calls) == 1 and [item.done for item in history(tmp_path).started()] == [True]


def test_a_failed_rollback_is_tried_again_and_counts_for_the_day(lasting: list[str]) -> None:
    failed = Started(version=NEW, end=bad_pass().end, verb="rollback", at=NOW - timedelta(hours=30), done=False)
    assert choose(bad_pass(), [failed], rollback=True) == f"rollback --to {OLD}"
    of_last_pass = failed.model_copy(update={"end": failed.end - WEEK, "at": NOW - timedelta(hours=20)})
    assert choose(bad_pass(), [of_last_pass], rollback=True) == "retrain"


def test_each_problem_has_one_issue_that_is_updated_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    github = IssueGitHub()
    monkeypatch.setattr(GitHub, "from_environment", lambda: github)
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    drift = Alarm(problem="drift", name="amount", message="amount <b> has shifted, @team")
    broken = Alarm(problem="input", name="channel", message="channel is missing")
    for _ in range(2):
        report_problems(verdict(record(3, None), alarms=[drift, broken]))
    assert [issue["labels"] for issue in github.all.values()] == [["monitor"], ["monitor"]] and github.updates == 0
    body = github.all[1]["body"]
    assert "&lt;b&gt;" in body and "@team" not in body and "What to do next" in body
    report_problems(verdict(record(4, None), alarms=[broken]))
    assert [issue["state"] for issue in github.all.values()] == ["closed", "open"]


def test_without_a_token_there_are_no_issues(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "")
    report_problems(verdict(bad_pass()))
    assert "no issue" in capsys.readouterr().out


def test_an_issue_does_not_change_while_its_alarms_are_the_same() -> None:
    item = bad_pass()
    later = verdict(item).model_copy(update={"made_at": NOW + WEEK})
    assert format_issue(verdict(item), "quality") == format_issue(later, "quality")
    assert format_issue(verdict(item), "drift") is None


def test_the_message_is_slacks_json_and_is_sent_once_and_only_with_an_alarm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[tuple[str, Any]] = []

    class Response:
        def raise_for_status(self) -> None: ...

    def post(url: str, json: Any, timeout: float) -> Response:
        sent.append((url, json))
        return Response()

    monkeypatch.setattr(requests, "post", post)
    send_message(verdict(bad_pass()), history(tmp_path))
    monkeypatch.setenv("MONITOR_WEBHOOK", "https://hooks.example.org/secret")
    send_message(verdict(record(3, None)), history(tmp_path))
    assert sent == []
    alarm = verdict(bad_pass(), alarms=[Alarm(problem="drift", name="a", message="a < b & c")])
    for _ in range(2):
        send_message(alarm, history(tmp_path))
    ((url, document),) = sent
    assert url == "https://hooks.example.org/secret" and set(document) == {"text"}
    assert json.dumps(document) and "fraud: 1 alarm\n" in document["text"] and "a &lt; b &amp; c" in document["text"]
    for again in (verdict(record(3, None)), alarm):  # it had ended
        send_message(again, history(tmp_path))
    assert len(sent) == 2


def test_a_webhook_that_fails_changes_nothing_and_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MONITOR_WEBHOOK", "http://127.0.0.1:9/secret")
    for _ in range(2):
        send_message(verdict(bad_pass()), history(tmp_path))
    out = capsys.readouterr().out
    assert out.count("not delivered") == 2 and "secret" not in out
