"""Merging the lines of the log into Parquet files."""

import os
import shutil
import signal
import sys
import time
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.cli.errors import Unreachable
from pipelines.monitor import compaction
from pipelines.monitor.compaction import compact
from pipelines.predictions.log import parse_log
from pipelines.predictions.window import REQUEST_ID, open_connection, open_window
from testing.repository import quiet_environment
from tests.engine.monitor.log_files import MONDAY, RELEASE, SIGNATURE, log_table, write_lines, write_log

pytestmark = pytest.mark.repository

START, END = MONDAY.replace(tzinfo=UTC), MONDAY.replace(tzinfo=UTC) + timedelta(days=7)


def merge(log: Path | str, release: str = RELEASE) -> None:
    compact(parse_log(str(log)), START, END, SIGNATURE, release)


def read(log: Path | str) -> tuple[list[str], dict[str, int], int]:
    """Return the request ids of a window, what it sets aside, and the number of files."""
    with open_window(open_connection(), parse_log(str(log)), SIGNATURE, RELEASE, START, END) as opened:
        return sorted(opened.table[REQUEST_ID].to_pyarrow().to_pylist()), dict(opened.set_aside), opened.files


def names(log: Path) -> list[str]:
    return sorted(path.name for path in log.rglob("*") if path.is_file())


def fill(log: Path) -> None:
    for seed in range(5):
        write_lines(log, log_table(20, seed=seed), name=f"part-{seed}")
    write_lines(log, log_table(20, MONDAY + timedelta(days=1)), MONDAY + timedelta(days=1))


def test_the_lines_of_each_date_become_one_parquet_file_with_the_same_rows(tmp_path: Path) -> None:
    fill(tmp_path)
    before = read(tmp_path)
    merge(tmp_path)
    assert len(names(tmp_path)) == 2
    assert all(name.startswith("merged-") and name.endswith(".parquet") for name in names(tmp_path))
    assert read(tmp_path) == before
    merge(tmp_path)
    assert read(tmp_path) == before
    table = pq.read_table(next(tmp_path.glob("date=2026-03-02/*.parquet")), partitioning=None)
    expected = {*log_table(1).column_names, "key_name"}
    assert set(table.column_names) == expected
    assert str(table.schema.field("time").type) == str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"


def test_only_readable_lines_of_the_release_are_merged(tmp_path: Path) -> None:
    kept = [
        write_lines(tmp_path, log_table(4, seed=1, release="b" * 12), name="other-release"),
        write_lines(tmp_path, log_table(5, seed=2).drop(["items"]), name="lacks-a-column"),
        write_lines(tmp_path, log_table(5, seed=3, more=[1] * 5), name="has-more-columns"),
        write_lines(tmp_path, log_table(2, seed=4, amount=["1", "much"]), name="other-type"),
        write_log(tmp_path, log_table(6, seed=5), name="of-before"),
    ]
    half = write_lines(tmp_path, log_table(500, seed=6), name="half")
    half.write_bytes(half.read_bytes()[:5_000])
    write_lines(tmp_path, log_table(20), name="good")
    before = read(tmp_path)
    merge(tmp_path)
    found = names(tmp_path)
    assert found[1:] != found and len(found) == len(kept) + 2
    assert {path.name for path in [*kept, half]} < set(found)
    assert read(tmp_path) == before
    merge(tmp_path, "b" * 12)
    assert "other-release.jsonl.gz" not in names(tmp_path)
    assert read(tmp_path) == before


def test_lines_that_come_later_are_merged_into_another_file(tmp_path: Path) -> None:
    fill(tmp_path)
    merge(tmp_path)
    write_lines(tmp_path, log_table(3, seed=9), name="late")
    before = read(tmp_path)
    assert len(before[0]) == 123
    merge(tmp_path)
    assert len(names(tmp_path)) == 3
    assert read(tmp_path) == before


def test_two_runs_of_which_one_saw_a_late_file_repeat_no_row(tmp_path: Path) -> None:
    day, late = tmp_path / "log/date=2026-03-02", tmp_path / "late.jsonl.gz"
    fill(tmp_path / "log")
    both = shutil.copytree(day, tmp_path / "both")
    write_lines(tmp_path / "log", log_table(3, seed=9), name="late").rename(late)
    merge(tmp_path / "log")
    for path in (*both.iterdir(), late):
        shutil.copy(path, day)
    (first,) = day.glob("*.parquet")
    away = first.rename(tmp_path / first.name)
    merge(tmp_path / "log")
    away.rename(first)
    rows, set_aside, files = read(tmp_path / "log")
    assert len(rows) == 123 and set_aside == {} and files == 7


@pytest.mark.parametrize("step", ["_upload", "_remove"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    fill(tmp_path)
    before = read(tmp_path)
    original = getattr(compaction, step)

    def kill(*arguments: Any) -> None:
        if when == "after":
            original(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(compaction, step, kill)
    with pytest.raises(KeyboardInterrupt):
        merge(tmp_path)
    monkeypatch.undo()
    assert read(tmp_path) == before
    merge(tmp_path)
    assert len(names(tmp_path)) == 2
    assert read(tmp_path) == before


def test_runs_that_are_killed_at_any_time_lose_and_repeat_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    before = read(tmp_path)
    code = f"from tests.engine.monitor.test_compaction import merge; print(flush=True); merge({str(tmp_path)!r})"
    for delay in (0.01, 0.05):
        reading, writing = os.pipe()
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", code],
            {**os.environ, **quiet_environment()},
            file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
        )
        os.close(writing)
        assert os.read(reading, 1)
        os.close(reading)
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        assert read(tmp_path) == before
    merge(tmp_path)
    assert read(tmp_path) == before


def test_two_runs_at_once_lose_and_repeat_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second runs from beginning to end wherever the first is."""
    for place in ("copy_files", "convert", "_upload", "_remove"):
        log = tmp_path / place
        fill(log)
        before = read(log)
        original = getattr(compaction, place)
        ran: list[int] = []

        def interrupt(*arguments: Any, original: Any = original, ran: list[int] = ran, log: Path = log) -> Any:
            if not ran:
                ran.append(1)
                merge(log)
            return original(*arguments)

        monkeypatch.setattr(compaction, place, interrupt)
        merge(log)
        monkeypatch.undo()
        assert ran
        assert read(log) == before
        assert not list(log.rglob("*.jsonl.gz"))


def test_a_reader_is_not_disturbed_by_a_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.predictions import log as log_module

    fill(tmp_path)
    before = read(tmp_path)
    original = log_module.copy_files
    ran: list[int] = []

    def interrupt(*arguments: Any) -> Any:
        if not ran:
            ran.append(1)
            merge(tmp_path)
        return original(*arguments)

    monkeypatch.setattr(log_module, "copy_files", interrupt)
    assert read(tmp_path) == before


def test_a_log_on_a_full_disk_is_unreachable_and_keeps_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    before = read(tmp_path), names(tmp_path)

    def copy_a_part(_: str, target: str) -> None:
        Path(target).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copy_a_part)
    with pytest.raises(Unreachable):
        merge(tmp_path)
    assert (read(tmp_path), names(tmp_path)) == before


@pytest.mark.server
def test_lines_in_a_bucket_are_merged_there(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="lines")
    fill(tmp_path)
    for path in tmp_path.rglob("*.gz"):
        client.upload_file(str(path), "lines", f"fraud/{path.relative_to(tmp_path)}")
    before = read("s3://lines/fraud")
    assert before == read(tmp_path)
    merge("s3://lines/fraud")
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="lines")["Contents"]]
    assert len(keys) == 2 and all(key.endswith(".parquet") for key in keys)
    assert read("s3://lines/fraud") == before
