"""What `release status` prints, from tags alone. Needs git."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.config.serving import Serving
from pipelines.deployment import canary
from pipelines.deployment.canary import Canary
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Version
from pipelines.release import status
from pipelines.repository import tags
from pipelines.repository.git import git
from tests.engine.fixtures_repo import PARAMS
from tests.engine.release.tag_repository import assign_version, register_version

DAY = 86_400


@pytest.fixture
def history(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """a on 2 March 2026, b on the 5th, a again on the 9th, each at noon UTC."""
    second_of_march = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())
    clock = [float(second_of_march - DAY)]
    monkeypatch.setattr("time.time", lambda: clock[0])
    first, second = register_version("a", (1, 0, 0)), register_version("b", (1, 1, 0), digest="b")
    for day, version, more in (
        (0, first, {"pull_request": 1, "approved_by": ("ann",), "bypassed": False}),
        (3, second, {"pull_request": None, "bypassed": True}),
        (7, first, {}),
    ):
        clock[0] = float(second_of_march + day * DAY)
        assign_version(version, **more)


def print_status(capsys: pytest.CaptureFixture[str], at: str | None = None, as_json: bool = False) -> str:
    assert status.print_status("fraud", at, as_json) == 0
    return capsys.readouterr().out


def test_status_prints_production_and_history(history: None, capsys: pytest.CaptureFixture[str]) -> None:
    out = print_status(capsys)
    assert out.startswith("Now, fraud@v1.0.0 of fraud is in production, since 2026-03-09 12:00:00.")
    assert "pull request not known" in out and git("rev-parse", "HEAD") in out
    lines = [line.split() for line in out.splitlines() if "fraud#production#" in line]
    assert [(line[0], line[1]) for line in lines] == [
        ("fraud#production#3", "fraud@v1.0.0"),
        ("fraud#production#2", "fraud@v1.1.0"),
        ("fraud#production#1", "fraud@v1.0.0"),
    ]
    assert "#1, approved by ann" in out and "no pull request, approved by nobody, rules bypassed" in out


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2026-03-02", "fraud@v1.0.0"),  # the end of the day
        ("2026-03-05T11:59", "fraud@v1.0.0"),
        ("2026-03-05T12:00:00+00:00", "fraud@v1.1.0"),
        ("2026-03-08", "fraud@v1.1.0"),
        ("2026-03-05T13:30:00+02:00", "fraud@v1.0.0"),
    ],
)
def test_status_at_a_time(history: None, capsys: pytest.CaptureFixture[str], at: str, version: str) -> None:
    assert json.loads(print_status(capsys, at, as_json=True))[0]["version"] == version
    assert f"At {at}, {version} of fraud" in print_status(capsys, at)


def test_status_before_the_first_release_is_empty(history: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_status(capsys, "2026-03-01") == "Nothing of fraud was in production at 2026-03-01.\n"
    assert json.loads(print_status(capsys, "2026-03-01", as_json=True)) == []


def test_status_fetches_tags_or_prints_the_last_fetch(
    history: None, tag_repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git("tag", "--delete", "fraud#production#3")
    assert print_status(capsys).startswith("Now, fraud@v1.0.0 of fraud is in production")  # fetched again

    (tag_repository.parent / "origin.git").rename(tag_repository.parent / "gone")
    assert print_status(capsys).startswith(
        "Now, as of the last fetch, fraud@v1.0.0 of fraud is in production, since 2026-03-09"
    )
    assert print_status(capsys, "2026-03-05").startswith("At 2026-03-05, as of the last fetch, fraud@v1.1.0 of fraud")
    before = "Nothing of fraud was in production at 2026-03-01, as of the last fetch.\n"
    assert print_status(capsys, "2026-03-01") == before
    assert status.print_status("fraud", None, True) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["assignment"] == "fraud#production#3"
    assert "origin cannot be reached" in err


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"pull_request": 7, "approved_by": ("ann", "bob")}, "#7, approved by ann, bob, rules not readable"),
        ({"pull_request": 7, "approved_by": ("ann",), "bypassed": False}, "#7, approved by ann"),
        ({"pull_request": None, "bypassed": None}, "pull request not known"),
    ],
)
def test_approvers_are_printed_without_a_readable_ruleset(
    tag_repository: Path, capsys: pytest.CaptureFixture[str], known: dict[str, Any], text: str
) -> None:
    assign_version(register_version("a", (1, 0, 0)), **known)
    first = print_status(capsys).splitlines()[2]
    assert first.endswith(f", {text}")


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_invalid_date_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="is not a date"):
        status.parse_time(text)


def test_status_prints_the_canary_and_the_share_that_this_host_gives_it(
    history: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (version,) = [item for item in tags.list_versions("fraud") if item.tag == "fraud@v1.1.0"]
    assign_version(version, tags.CANARY, weight=5)
    assert "fraud@v1.1.0 is a canary with 5 % of the requests" in print_status(capsys)
    serving = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["serving"]
    host = Host("fraud", Serving.model_validate(serving), "http://a:1", "http://a:2", tmp_path)
    running = Version(version.release_id, version.annotation.image, version.tag, canary.ROLE)
    canary._write(host, Canary(running, 5, since="now", aborted="its requests fail"))
    status.print_status("fraud", None, False, host)
    assert "git does not have yet: its requests fail" in capsys.readouterr().out
    assert "canary" not in print_status(capsys, "2026-03-08")
