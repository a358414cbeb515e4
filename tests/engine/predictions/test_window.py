"""The rows of the prediction log that a pass judges, and those that it sets aside."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli.errors import InputError, Unreachable
from pipelines.model.signature import Input, Signature
from pipelines.monitor.alarms import alarms_of_log
from pipelines.predictions.log import list_dates, parse_log
from pipelines.predictions.log_schema import REPLAY
from pipelines.predictions.window import (
    LATENCY,
    REPLAYED,
    REQUEST_ID,
    SCORE,
    TIME,
    Window,
    open_connection,
    open_window,
)
from serving.signature import load
from tests.engine.monitor.log_files import MONDAY, RELEASE, SIGNATURE, log_table, write_lines, write_log
from tests.engine.serving.logs import encoded
from tests.engine.serving.samples import GOOD

START, END = MONDAY.replace(tzinfo=UTC), MONDAY.replace(tzinfo=UTC) + timedelta(days=7)


@contextmanager
def window(
    log: Path | str, signature: Signature = SIGNATURE, start: datetime = START, end: datetime = END
) -> Iterator[Window]:
    with open_window(open_connection(), parse_log(str(log)), signature, RELEASE, start, end) as opened:
        yield opened


def ids(opened: Window) -> set[str]:
    return set(opened.table[REQUEST_ID].to_pyarrow().to_pylist())


def test_the_rows_of_all_days_are_read_and_those_of_other_days_are_not(tmp_path: Path) -> None:
    for day in (-1, 0, 3, 6, 7):
        write_log(tmp_path, log_table(20, MONDAY + timedelta(days=day)), MONDAY + timedelta(days=day))
    with window(tmp_path) as opened:
        assert opened.rows == opened.table.count().execute() == 60
        assert opened.set_aside == {}
        columns = {"amount", "items", "channel", "new", "at", "age", TIME, REQUEST_ID, LATENCY, SCORE}
        assert set(opened.table.columns) == columns


def test_a_window_can_begin_and_end_within_a_day(tmp_path: Path) -> None:
    write_log(tmp_path, log_table(24))
    with window(tmp_path, start=START + timedelta(hours=6), end=START + timedelta(hours=9)) as opened:
        assert opened.rows == 3


def test_a_log_without_rows_is_an_empty_window(tmp_path: Path) -> None:
    with window(tmp_path) as opened:
        assert (opened.rows, opened.set_aside) == (0, {})
    with window(tmp_path / "missing") as opened:
        assert opened.rows == 0


def test_a_repeated_request_id_counts_once_with_its_first_row(tmp_path: Path) -> None:
    table = log_table(10)
    again = table.slice(2, 3)
    later = [time + timedelta(days=1) for time in again["time"].to_pylist()]
    again = again.set_column(0, "time", pa.array(later, pa.timestamp("us")))
    write_log(tmp_path, again, MONDAY + timedelta(days=1))
    write_log(tmp_path, table)
    with window(tmp_path) as opened:
        assert opened.rows == opened.table.count().execute() == 10
        assert opened.set_aside == {"rows with a repeated request id": 3}
        assert opened.table[TIME].max().execute().to_pydatetime() < MONDAY + timedelta(days=1)


def test_rows_of_another_release_are_set_aside_also_with_other_columns(tmp_path: Path) -> None:
    write_log(tmp_path, log_table(10))
    write_log(tmp_path, log_table(4, release="b" * 12, seed=1), name="other")
    write_log(tmp_path, log_table(3, release="b" * 12, seed=2).drop(["amount"]), name="columns")
    with window(tmp_path) as opened:
        assert (opened.rows, opened.set_aside) == (10, {"rows of another release": 7})


def test_rows_that_a_rollout_replayed_are_set_aside(tmp_path: Path) -> None:
    write_log(tmp_path, log_table(10))
    write_log(tmp_path, log_table(7, seed=1, prefix=REPLAY), name="replay")
    with window(tmp_path) as opened:
        assert (opened.rows, opened.set_aside) == (10, {REPLAYED: 7})
        assert alarms_of_log(opened) == []


def test_rows_of_another_schema_are_set_aside(tmp_path: Path) -> None:
    write_log(tmp_path, log_table(10))
    write_log(tmp_path, log_table(4, seed=1).drop(["items"]), name="lacks-a-column")
    write_log(tmp_path, log_table(3, seed=2, amount=["much"] * 3), name="other-type")
    write_log(tmp_path, pa.table({"x": [1, 2]}), name="other-table")
    with window(tmp_path) as opened:
        assert (opened.rows, opened.set_aside) == (10, {"rows of another schema": 9})


def test_files_that_cannot_be_read_are_set_aside(tmp_path: Path) -> None:
    whole = write_log(tmp_path, log_table(500))
    content = whole.read_bytes()
    (whole.parent / "half.parquet").write_bytes(content[: len(content) // 2])
    (whole.parent / "empty.parquet").write_bytes(b"")
    damaged = bytearray(content)
    damaged[200:8000] = b"\xff" * 7800
    (whole.parent / "damaged.parquet").write_bytes(bytes(damaged))
    (whole.parent / ".part.parquet.tmp").write_bytes(b"PAR1")
    (whole.parent / "notes.txt").write_bytes(b"no table")
    with window(tmp_path) as opened:
        assert (opened.rows, opened.set_aside) == (500, {"files that cannot be read": 3})


def test_poisoned_values_are_set_aside_and_counted_by_reason(tmp_path: Path) -> None:
    amounts = [np.inf, -np.inf, 1e308, np.nan, 5.0, 5.0, 5.0, 5.0]
    channels = ["chip"] * 4 + ["x" * 1_000_000, "", "ü\0", "chip"]
    scores = [0.5] * 7 + [np.nan]
    write_log(tmp_path, log_table(8, amount=amounts, channel=channels, probability=scores))
    with window(tmp_path) as opened:
        assert opened.set_aside == {
            "rows with an infinite or too large number": 3,
            "rows with a text of more than 1,000 characters": 1,
            "rows without a finite score": 1,
        }
        assert opened.table.amount.isnull().sum().execute() == 1  # NaN is a missing value
        assert opened.rows == 3


def test_rows_without_time_or_id_are_set_aside(tmp_path: Path) -> None:
    table = log_table(4)
    times = pa.array([None, *table["time"].to_pylist()[1:]], pa.timestamp("us"))
    write_log(tmp_path, table.set_column(0, "time", times).set_column(1, "request_id", pa.array(["a", None, "c", "d"])))
    with window(tmp_path) as opened:
        assert ids(opened) == {"c", "d"}
        assert opened.set_aside == {"rows without time or request id": 2}


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_are_read_in_utc_whatever_the_zone_of_the_file(tmp_path: Path, zone: str | None) -> None:
    table = log_table(24)
    time = table["time"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone)) if zone else table["time"]
    write_log(tmp_path, table.set_column(0, "time", time))
    with window(tmp_path, end=START + timedelta(hours=12)) as opened:
        assert opened.rows == 12


def test_an_input_can_have_the_name_of_a_column_of_the_log(tmp_path: Path) -> None:
    signature = Signature(
        "fraud", "regression", "y", (Input("time", "number"), Input("score", "number")), "value", "boosting"
    )
    table = pa.table(
        {
            "time": pa.array([MONDAY], pa.timestamp("us")),
            "request_id": ["a"],
            "release": [RELEASE],
            "input_time": [3.5],
            "score": [4.5],
            "value": [7.0],
            "latency_ms": [1.0],
        }
    )
    write_log(tmp_path, table)
    with window(tmp_path, signature) as opened:
        row = opened.table.to_pyarrow().to_pylist()[0]
        assert (row["time"], row["score"], row[SCORE]) == (3.5, 4.5, 7.0)


def test_a_file_of_the_service_is_read(tmp_path: Path, boosting: Any) -> None:
    served = load(boosting.signature)
    row = {**GOOD, "shop": 'two\nlines, "quoted"', "gift": None}
    path = tmp_path / f"date={MONDAY:%Y-%m-%d}" / "a.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(encoded(served, GOOD, row, time=START.timestamp() + 0.25)))
    with window(tmp_path, Signature.from_json(json.loads(boosting.signature.read_text()))) as opened:
        assert (opened.rows, opened.set_aside) == (2, {})
        rows = opened.table.order_by(REQUEST_ID).to_pyarrow().to_pylist()
        assert [row["shop"] for row in rows] == ["web", 'two\nlines, "quoted"']
        assert [row["gift"] for row in rows] == [True, None]
        assert (rows[0]["price"], rows[0]["items"], rows[0]["usual_price"]) == (12.5, 3, None)
        assert rows[0][TIME] == MONDAY + timedelta(seconds=0.25)
        assert rows[0]["ordered_at"] == datetime(2026, 2, 3, 4, 5, 6)


def test_lines_and_parquet_files_have_the_same_rows(tmp_path: Path) -> None:
    write_log(tmp_path / "a", log_table(300))
    write_lines(tmp_path / "b", log_table(300))
    with window(tmp_path / "a") as one, window(tmp_path / "b") as other:
        of_one, of_other = (opened.table.order_by(REQUEST_ID).to_pyarrow() for opened in (one, other))
        assert of_one.equals(of_other.select(of_one.column_names))
    write_lines(tmp_path / "a", log_table(20, seed=1))
    with window(tmp_path / "a") as opened:
        assert (opened.rows, opened.files, opened.set_aside) == (320, 2, {})


def test_types_do_not_depend_on_the_values_of_a_file(tmp_path: Path) -> None:
    table = log_table(3, items=pa.nulls(3), new=pa.nulls(3), channel=["1", "true", "2026-01-01"])
    write_lines(tmp_path, table)
    write_lines(tmp_path, log_table(4, seed=1), name="other")
    with window(tmp_path) as opened:
        assert (opened.rows, opened.set_aside) == (7, {})
        assert set(table["channel"].to_pylist()) < set(opened.table.channel.to_pyarrow().to_pylist())


def test_lines_that_do_not_fit_are_set_aside(tmp_path: Path) -> None:
    whole = write_lines(tmp_path, log_table(500))
    write_lines(tmp_path, log_table(4, seed=1, release="b" * 12), name="other-release")
    write_lines(tmp_path, log_table(3, seed=2, release="b" * 12).drop(["amount"]), name="other-columns")
    write_lines(tmp_path, log_table(5, seed=3).drop(["items"]), name="lacks-a-column")
    write_lines(tmp_path, log_table(2, seed=4, amount=["1", "much"]), name="other-type")
    write_lines(tmp_path, log_table(1, seed=5, time=["today"]), name="no-time")
    content = whole.read_bytes()
    (whole.parent / "half.jsonl.gz").write_bytes(content[: len(content) // 2])
    (whole.parent / "short.jsonl.gz").write_bytes(content[:30])
    (whole.parent / "empty.jsonl.gz").write_bytes(b"")
    (whole.parent / "plain.jsonl.gz").write_bytes(gzip.decompress(content))
    (whole.parent / "no-object.jsonl.gz").write_bytes(gzip.compress(b"[1]\n"))
    (whole.parent / "deep.jsonl.gz").write_bytes(gzip.compress(b"[" * 100_000))
    (whole.parent / "bytes.jsonl.gz").write_bytes(gzip.compress(b"\xff\xfe\n"))
    (whole.parent / "broken.jsonl.gz").write_bytes(gzip.compress(gzip.decompress(content) + b'{"time":\n'))
    (whole.parent / ".part.jsonl.gz.tmp").write_bytes(content)
    with window(tmp_path) as opened:
        assert (opened.rows, opened.files) == (500, 2)
        assert opened.set_aside == {
            "files that cannot be read": 8,
            "rows of another release": 7,
            "rows of another schema": 8,
        }


def test_poisoned_lines_are_set_aside(tmp_path: Path) -> None:
    path = write_lines(tmp_path, log_table(8))
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    rows[1]["time"] = rows[2]["request_id"] = rows[3]["probability"] = None
    rows[4]["at"] = 1e300
    texts = [json.dumps(row) for row in rows]
    texts[5] = texts[5].replace(f'"time": {rows[5]["time"]}', '"time": 1e999')
    texts[6] = texts[6].replace(f'"amount": {rows[6]["amount"]}', '"amount": 1e999')
    path.write_bytes(gzip.compress("\n".join(texts).encode()))
    with window(tmp_path) as opened:
        assert opened.rows == 3
        assert opened.set_aside == {
            "rows without time or request id": 3,
            "rows without a finite score": 1,
            "rows with an infinite or too large number": 1,
        }
        assert opened.table["at"].isnull().sum().execute() == 1


@pytest.mark.server
def test_a_log_in_a_bucket_is_read_like_one_in_a_folder(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="log")
    with window("s3://log/fraud") as opened:
        assert opened.rows == 0
    for day in range(3):
        write = write_lines if day else write_log
        path = write(tmp_path, log_table(20, MONDAY + timedelta(days=day)), MONDAY + timedelta(days=day))
        client.upload_file(str(path), "log", f"fraud/{path.relative_to(tmp_path)}")
    client.put_object(Bucket="log", Key=f"fraud/date={MONDAY:%Y-%m-%d}/half.parquet", Body=path.read_bytes()[:300])
    with window("s3://log/fraud") as opened:
        assert (opened.rows, opened.set_aside) == (60, {"files that cannot be read": 1})
        assert opened.table.count().execute() == 60
    assert list_dates(parse_log("s3://log/fraud"))[0] == START
    assert list_dates(parse_log("s3://log/other")) == []
    with pytest.raises(InputError, match="no such"), window("s3://missing/fraud"):
        pass


@pytest.mark.server
def test_a_store_that_does_not_respond_is_unreachable(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable), window("s3://log/fraud"):
        pass


def test_a_window_leaves_no_files_behind(tmp_path: Path) -> None:
    write_log(tmp_path / "log", log_table(5))
    before = sorted(tmp_path.rglob("*"))
    with window(tmp_path / "log") as opened:
        assert opened.rows == 5
    assert sorted(tmp_path.rglob("*")) == before
    assert pq.read_table(before[-1]).num_rows == 5
