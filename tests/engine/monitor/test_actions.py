"""What follows from a verdict: issues, the message, and what a quality alarm starts."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

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
    return " ".join((start.verb, *start.arguments[: 2 if start.verb == "rollback" else 0]))


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
        ({"previous_loss": 0.31}, "retrain"),
        ({"previous_loss": 0.55, "previous_limit": 0.6}, "retrain"),
        ({"previous_loss": None}, "retrain"),
        ({"previous_limit": None}, "retrain"),
    ],
)
def test_a_rollback_needs_a_previous_version_within_its_own_limit_and_better(
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


def test_the_previous_version_is_the_newest_other_one(lasting: list[str]) -> None:
    again = [*ASSIGNMENTS, assignment("b" * 12, "fraud@v1.2.0", START + 2 * WEEK)]
    lasting.append("fraud@v1.2.0")
    previous = find_previous(again, "b" * 12, "fraud")
    assert previous and previous.version == NEW
    assert find_previous(again, "a" * 12, "fraud") is None


@pytest.mark.parametrize(("code", "kept"), [(0, 1), (1, 1), (3, 0)])
def test_a_start_is_recorded_unless_the_verb_could_not_end(
    lasting: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kept: int
) -> None:
    calls: list[tuple[str, ...]] = []

    def run(*arguments: str) -> Any:
        calls.append(arguments)
        return subprocess.CompletedProcess([], code)

    monkeypatch.setattr(actions, "run_verb", run)
    for _ in range(2):
        start_verb(settings(rollback=True), verdict(bad_pass()), history(tmp_path), ASSIGNMENTS, NOW)
    assert len(history(tmp_path).started()) == kept and len(calls) == 2 - kept
    verb, option, to, _, why = calls[0]
    assert (verb, option, to) == ("rollback", "--to", OLD)
    assert "0.5 on 690 labelled" in why and "fraud@v1.0.0 has 0.25, with a limit of 0.3" in why


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


def test_the_message_is_slacks_json_and_is_sent_only_with_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, Any]] = []

    class Response:
        def raise_for_status(self) -> None: ...

    def post(url: str, json: Any, timeout: float) -> Response:
        sent.append((url, json))
        return Response()

    monkeypatch.setattr(requests, "post", post)
    send_message(verdict(bad_pass()))
    monkeypatch.setenv("MONITOR_WEBHOOK", "https://hooks.example.org/secret")
    send_message(verdict(record(3, None)))
    assert sent == []
    send_message(verdict(bad_pass(), alarms=[Alarm(problem="drift", name="a", message="a < b & c")]))
    ((url, document),) = sent
    assert url == "https://hooks.example.org/secret" and set(document) == {"text"}
    assert json.dumps(document) and "fraud: 1 alarm\n" in document["text"] and "a &lt; b &amp; c" in document["text"]


def test_a_webhook_that_fails_changes_nothing_and_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITOR_WEBHOOK", "http://127.0.0.1:9/secret")
    send_message(verdict(bad_pass()))
    out = capsys.readouterr().out
    assert "not delivered" in out and "secret" not in out
