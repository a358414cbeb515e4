"""The queue of the prediction log, its files, and sinks that are slow or fail."""

import threading
from dataclasses import replace

import duckdb
import pytest

from serving import parquet, prediction_log
from serving.prediction_log import PredictionLog
from serving.signature import load
from serving.sinks import Folder
from tests.engine.serving.logs import NEW_YEAR, columns_of, entry, read
from tests.engine.serving.samples import GOOD, CountedRows

PATIENCE = 30.0  # seconds until a test fails that waits for the thread


class MemorySink:
    """A sink that keeps its files."""

    def __init__(self):
        self.files = {}

    def write(self, name, content):
        self.files[name] = content

    def rows(self):
        return [row for content in self.files.values() for row in read(content)]


class FailingSink:
    """A sink that cannot be written."""

    def write(self, name, content):
        raise OSError("the disk\nis full")


class BlockedSink(MemorySink):
    """A sink of which each write waits until it is released."""

    def __init__(self):
        super().__init__()
        self.started = threading.Semaphore(0)
        self.released = threading.Semaphore(0)

    def write(self, name, content):
        self.started.release()
        assert self.released.acquire(timeout=PATIENCE)
        super().write(name, content)


@pytest.fixture(scope="module")
def signature(logistic):
    return load(logistic.signature)


@pytest.fixture
def metrics():
    return CountedRows()


def test_files_are_partitioned_by_the_day_of_the_prediction_in_utc(signature, metrics, tmp_path):
    log = PredictionLog(Folder(tmp_path), columns_of(signature), metrics)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 0.001, name="a"))
    log.put(entry(signature, GOOD, GOOD, time=NEW_YEAR, name="b"))
    log.close(PATIENCE)
    assert metrics.rows == {"written": 3, "dropped": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["date=2025-12-31", "date=2026-01-01"]
    rows = duckdb.sql(
        "SELECT date, list(request_id ORDER BY request_id), bool_and(CAST(time AS DATE) = date)"
        f" FROM read_parquet('{tmp_path}/*/*.parquet', hive_partitioning=true) GROUP BY date ORDER BY date"
    ).fetchall()
    assert [(str(day), ids, fits) for day, ids, fits in rows] == [
        ("2025-12-31", ["a-0"], True),
        ("2026-01-01", ["b-0", "b-1"], True),
    ]


def test_two_logs_never_write_files_of_the_same_name(signature, metrics):
    sink = MemorySink()
    for _ in range(2):
        log = PredictionLog(sink, columns_of(signature), metrics)
        log.put(entry(signature, GOOD))
        log.close(PATIENCE)
    assert len(sink.files) == 2


def test_a_file_is_written_when_enough_rows_wait(signature, metrics, monkeypatch):
    monkeypatch.setattr(prediction_log, "FLUSH_ROWS", 3)
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", PATIENCE)
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD, GOOD, GOOD))
    assert sink.started.acquire(timeout=PATIENCE / 2)
    sink.released.release()
    log.close(PATIENCE)
    assert metrics.rows["written"] == 3


def test_waiting_rows_are_divided_into_files_by_their_number(signature, metrics, monkeypatch):
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1))
    monkeypatch.setattr(prediction_log, "FLUSH_ROWS", 2)
    for _ in range(5):
        log.put(entry(signature, GOOD))
    sink.released.release(4)
    log.close(PATIENCE)
    assert [len(read(content)) for content in sink.files.values()] == [1, 2, 2, 1]


def test_a_file_is_written_when_enough_bytes_wait(signature, metrics, monkeypatch):
    large = entry(signature, {**GOOD, "shop": "x" * 10_000})
    monkeypatch.setattr(prediction_log, "FLUSH_BYTES", 2 * large.size)
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", PATIENCE)
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    for _ in range(2):
        log.put(large)
    assert sink.started.acquire(timeout=PATIENCE / 2)
    sink.released.release()
    log.close(PATIENCE)
    assert metrics.rows["written"] == 2


def test_waiting_rows_are_divided_into_files_by_their_size(signature, metrics, monkeypatch):
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1))
    large = entry(signature, {**GOOD, "shop": "x" * 10_000})
    monkeypatch.setattr(prediction_log, "FLUSH_BYTES", 2 * large.size)
    for _ in range(5):
        log.put(large)
    sink.released.release(4)
    log.close(PATIENCE)
    assert [len(read(content)) for content in sink.files.values()] == [1, 2, 2, 1]


def test_few_rows_are_written_after_the_flush_interval(signature, metrics, monkeypatch):
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", 0.01)
    sink = BlockedSink()
    sink.released.release()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD))
    assert sink.started.acquire(timeout=PATIENCE)
    log.close(PATIENCE)
    assert len(sink.rows()) == 1


def test_closing_writes_the_queue(signature, metrics):
    sink = MemorySink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    for i in range(10):
        log.put(entry(signature, GOOD, name=str(i)))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == [f"{i}-0" for i in range(10)]
    assert metrics.rows == {"written": 10, "dropped": 0}


def test_closing_does_not_wait_for_a_hanging_sink_and_reports_the_lost_rows(signature, metrics, capfd):
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1))
    log.put(entry(signature, GOOD, GOOD))
    log.close(0.01)
    assert metrics.rows == {"written": 0, "dropped": 3}
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "serving: the prediction log loses rows: 3 were not written within 0.01 s"
    # A write that succeeds afterwards is not counted.
    sink.released.release(2)
    log._thread.join(PATIENCE)
    assert not log._thread.is_alive()
    assert metrics.rows == {"written": 0, "dropped": 3}
    assert len(sink.files) <= 1


def test_rows_after_closing_are_counted_as_dropped(signature, metrics):
    sink = MemorySink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD))
    log.close(PATIENCE)
    log.put(entry(signature, GOOD, GOOD))
    assert metrics.rows == {"written": 1, "dropped": 2}


def test_rows_beyond_the_queues_rows_are_dropped_until_it_has_room(signature, metrics):
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics, queue_rows=3)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1, name="a"))
    log.put(entry(signature, GOOD, GOOD, name="b"))
    log.put(entry(signature, GOOD, name="lost"))
    log.put(entry(signature, GOOD, GOOD, GOOD, GOOD, name="too-large"))
    assert metrics.rows["dropped"] == 5
    log._wake.set()  # the day before goes into a file of its own
    assert sink.started.acquire(timeout=PATIENCE)
    sink.released.release()
    assert sink.started.acquire(timeout=PATIENCE)  # so that one row is written now
    log.put(entry(signature, GOOD, name="c"))
    log.put(entry(signature, GOOD, name="lost"))
    sink.released.release(2)
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["a-0", "b-0", "b-1", "c-0"]
    assert metrics.rows == {"written": 4, "dropped": 6}


def test_rows_beyond_the_queues_bytes_are_dropped_until_it_has_room(signature, metrics):
    large = entry(signature, {**GOOD, "shop": "x" * 10_000}, name="large")
    sink = BlockedSink()
    log = PredictionLog(sink, columns_of(signature), metrics, queue_bytes=2 * large.size)
    log.put(replace(large, time=NEW_YEAR - 1))
    log.put(large)
    log.put(entry(signature, GOOD, name="lost"))
    assert metrics.rows["dropped"] == 1
    log._wake.set()  # the day before goes into a file of its own
    assert sink.started.acquire(timeout=PATIENCE)
    sink.released.release()
    assert sink.started.acquire(timeout=PATIENCE)  # so that one row is written now
    log.put(entry(signature, GOOD, name="later"))
    log.put(entry(signature, {**GOOD, "shop": "x" * 20_000}, name="lost"))
    sink.released.release(2)
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["large-0", "large-0", "later-0"]
    assert metrics.rows == {"written": 3, "dropped": 2}


def test_rows_too_large_for_a_file_are_dropped_and_the_next_rows_written(signature, metrics, monkeypatch, capfd):
    monkeypatch.setattr(parquet, "MAX_PAGE_BYTES", 5_000)
    sink = MemorySink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, {**GOOD, "shop": "x" * 5_000}, time=NEW_YEAR - 1))
    log.put(entry(signature, GOOD, name="later"))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["later-0"]
    assert metrics.rows == {"written": 1, "dropped": 1}
    assert "ValueError shop has 5010 bytes; a column of a file may have 5000" in capfd.readouterr().err


def test_a_failing_sink_costs_counted_rows_and_one_line(signature, metrics, capfd):
    log = PredictionLog(FailingSink(), columns_of(signature), metrics)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1))
    log.put(entry(signature, GOOD, GOOD))
    log.close(PATIENCE)
    assert metrics.rows == {"written": 0, "dropped": 3}
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "serving: the prediction log loses rows: OSError the disk is full"


def test_a_sink_that_recovers_gets_the_next_rows(signature, metrics, capfd):
    class RecoveringSink(MemorySink):
        def write(self, name, content):
            if "2025" in name:
                raise ConnectionError("away")
            super().write(name, content)

    sink = RecoveringSink()
    log = PredictionLog(sink, columns_of(signature), metrics)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1))
    log.put(entry(signature, GOOD, name="later"))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["later-0"]
    assert metrics.rows == {"written": 1, "dropped": 1}
    assert "ConnectionError away" in capfd.readouterr().err


def test_a_failed_write_frees_the_queue(signature, metrics, capfd):
    class BlockedFailingSink(BlockedSink):
        def write(self, name, content):
            super().write(name, content)
            raise OSError("away")

    sink = BlockedFailingSink()
    log = PredictionLog(sink, columns_of(signature), metrics, queue_rows=2)
    log.put(entry(signature, GOOD, time=NEW_YEAR - 1))
    log.put(entry(signature, GOOD))
    log._wake.set()
    sink.released.release()
    for _ in range(2):  # with the second file begun the first is lost
        assert sink.started.acquire(timeout=PATIENCE)
    log.put(entry(signature, GOOD, name="later"))
    assert metrics.rows["dropped"] == 1
    sink.released.release(2)
    log.close(PATIENCE)
    assert metrics.rows == {"written": 0, "dropped": 3} and len(sink.rows()) == 3
