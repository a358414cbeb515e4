"""The history beside the log: passes and acknowledgements."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.cli.errors import InputError, Unreachable
from pipelines.monitor.history import Acknowledgement, History
from pipelines.predictions.log import parse_log
from tests.engine.monitor.records import record

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = timedelta(days=7)


def acknowledgement(days: int) -> Acknowledgement:
    at = MONDAY + timedelta(days=days)
    return Acknowledgement(version="fraud@v1.0.0", end=MONDAY, inputs=("amount",), why="sale", by="ann", at=at)


def check_history(log: str) -> None:
    history = History(parse_log(log))
    assert history.passes() == [] and history.acknowledgements() == []
    second, first = record(MONDAY + WEEK, MONDAY + 2 * WEEK), record(MONDAY, MONDAY + WEEK)
    assert history.add_pass(second) == second
    assert history.add_pass(first) == first
    assert History(parse_log(log)).passes() == [first, second]
    # Another monitor was first: its record stays.
    assert history.add_pass(record(MONDAY, MONDAY + WEEK, rows=5)) == first
    for days in (2, 1):
        history.add_acknowledgement(acknowledgement(days))
    assert history.acknowledgements() == [acknowledgement(1), acknowledgement(2)]
    for text in ("old\n", "new\n"):
        history.write_file("metrics.prom", text)
    assert history.passes() == [first, second]


def test_the_history_of_a_folder(tmp_path: Path) -> None:
    check_history(str(tmp_path))
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        "monitor/acknowledged/2026-03-03T000000Z-2026-03-02T0000.json",
        "monitor/acknowledged/2026-03-04T000000Z-2026-03-02T0000.json",
        "monitor/metrics.prom",
        "monitor/passes/2026-03-02-0123456789ab.json",
        "monitor/passes/2026-03-09-0123456789ab.json",
    ]
    assert (tmp_path / "monitor/metrics.prom").read_text() == "new\n"


def test_a_log_that_cannot_be_written_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(Unreachable):
        History(parse_log(str(tmp_path / "log"))).write_file("metrics.prom", "x")


@pytest.mark.server
def test_the_history_of_a_bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    boto3.client("s3").create_bucket(Bucket="log")
    check_history("s3://log/fraud")


def test_passes_of_one_release_that_begin_on_the_same_day_are_two_files(tmp_path: Path) -> None:
    history = History(parse_log(str(tmp_path)))
    noon = MONDAY + timedelta(hours=12)
    both = [record(MONDAY, MONDAY + timedelta(hours=9)), record(noon, MONDAY + WEEK)]
    assert [history.add_pass(item) for item in both] == both == history.passes()


def test_a_file_that_is_no_pass_is_named(tmp_path: Path) -> None:
    path = tmp_path / "monitor/passes/2026-03-02-0123456789ab.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(InputError, match="2026-03-02-0123456789ab.json is not a file of the monitor"):
        History(parse_log(str(tmp_path))).passes()
