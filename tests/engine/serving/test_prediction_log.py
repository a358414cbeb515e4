"""The queue of the prediction log, its files, and sinks that are slow or fail."""

import gzip
import json
import threading

import pytest

from serving import prediction_log
from serving.prediction_log import PredictionLog
from serving.sinks import Folder
from tests.engine.serving.logs import NEW_YEAR, decoded
from tests.engine.serving.samples import CountedRows

PATIENCE = 30.0  # seconds until a test fails that waits for the thread
LARGE = "x" * 10_000


def read(content):
    return decoded(gzip.decompress(content))


def put(log, rows=1, time=NEW_YEAR, name="r", text=""):
    """Put lines with the ids `name`-0, `name`-1, ..."""
    lines = [json.dumps({"time": time, "request_id": f"{name}-{i}", "text": text}) + "\n" for i in range(rows)]
    log.put(time, rows, "".join(lines).encode())


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


@pytest.fixture
def metrics():
    return CountedRows()


def test_files_are_partitioned_by_the_day_of_the_prediction_in_utc(metrics, tmp_path):
    log = PredictionLog(Folder(tmp_path), metrics)
    put(log, time=NEW_YEAR - 0.001, name="a")
    put(log, 2, time=NEW_YEAR, name="b")
    log.close(PATIENCE)
    assert metrics.rows == {"written": 3, "dropped": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["date=2025-12-31", "date=2026-01-01"]
    found = {path.parent.name: read(path.read_bytes()) for path in tmp_path.rglob("*.jsonl.gz")}
    ids = {name: [row["request_id"] for row in rows] for name, rows in found.items()}
    assert ids == {"date=2025-12-31": ["a-0"], "date=2026-01-01": ["b-0", "b-1"]}


def test_two_logs_never_write_files_of_the_same_name(metrics):
    sink = MemorySink()
    for _ in range(2):
        log = PredictionLog(sink, metrics)
        put(log)
        log.close(PATIENCE)
    assert len(sink.files) == 2


@pytest.mark.parametrize(("limit", "value", "puts", "text"), [("ROWS", 3, 3, ""), ("BYTES", 20_000, 2, LARGE)])
def test_a_file_is_written_when_enough_waits(metrics, monkeypatch, limit, value, puts, text):
    monkeypatch.setattr(prediction_log, f"FLUSH_{limit}", value)
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", PATIENCE)
    sink = BlockedSink()
    log = PredictionLog(sink, metrics)
    for _ in range(puts):
        put(log, text=text)
    assert sink.started.acquire(timeout=PATIENCE / 2)
    sink.released.release()
    log.close(PATIENCE)
    assert metrics.rows["written"] == puts


@pytest.mark.parametrize(("limit", "value", "text"), [("ROWS", 2, ""), ("BYTES", 20_000, LARGE)])
def test_waiting_rows_are_divided_into_files(metrics, monkeypatch, limit, value, text):
    sink = BlockedSink()
    log = PredictionLog(sink, metrics)
    put(log, time=NEW_YEAR - 1)
    monkeypatch.setattr(prediction_log, f"FLUSH_{limit}", value)
    for _ in range(5):
        put(log, text=text)
    sink.released.release(4)
    log.close(PATIENCE)
    assert [len(read(content)) for content in sink.files.values()] == [1, 2, 2, 1]


def test_few_rows_are_written_after_the_flush_interval(metrics, monkeypatch):
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", 0.01)
    sink = BlockedSink()
    sink.released.release()
    log = PredictionLog(sink, metrics)
    put(log)
    assert sink.started.acquire(timeout=PATIENCE)
    log.close(PATIENCE)
    assert len(sink.rows()) == 1


def test_closing_writes_the_queue(metrics):
    sink = MemorySink()
    log = PredictionLog(sink, metrics)
    for i in range(10):
        put(log, name=str(i))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == [f"{i}-0" for i in range(10)]
    assert metrics.rows == {"written": 10, "dropped": 0}


def test_closing_does_not_wait_for_a_hanging_sink_and_reports_the_lost_rows(metrics, capfd):
    sink = BlockedSink()
    log = PredictionLog(sink, metrics)
    put(log, time=NEW_YEAR - 1)
    put(log, 2)
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


def test_rows_after_closing_are_counted_as_dropped(metrics):
    sink = MemorySink()
    log = PredictionLog(sink, metrics)
    put(log)
    log.close(PATIENCE)
    put(log, 2)
    assert metrics.rows == {"written": 1, "dropped": 2}


def test_rows_beyond_the_queues_rows_are_dropped_until_it_has_room(metrics):
    sink = BlockedSink()
    log = PredictionLog(sink, metrics, queue_rows=3)
    put(log, time=NEW_YEAR - 1, name="a")
    put(log, 2, name="b")
    put(log, name="lost")
    put(log, 4, name="too-large")
    assert metrics.rows["dropped"] == 5
    log._wake.set()  # the day before goes into a file of its own
    assert sink.started.acquire(timeout=PATIENCE)
    sink.released.release()
    assert sink.started.acquire(timeout=PATIENCE)  # so that one row is written now
    put(log, name="c")
    put(log, name="lost")
    sink.released.release(2)
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["a-0", "b-0", "b-1", "c-0"]
    assert metrics.rows == {"written": 4, "dropped": 6}


def test_rows_beyond_the_queues_bytes_are_dropped_until_it_has_room(metrics):
    sink = BlockedSink()
    log = PredictionLog(sink, metrics, queue_bytes=2 * len(LARGE) + 1_000)
    put(log, time=NEW_YEAR - 1, name="large", text=LARGE)
    put(log, name="large", text=LARGE)
    put(log, name="lost", text="x" * 1_000)
    assert metrics.rows["dropped"] == 1
    log._wake.set()  # the day before goes into a file of its own
    assert sink.started.acquire(timeout=PATIENCE)
    sink.released.release()
    assert sink.started.acquire(timeout=PATIENCE)  # so that one row is written now
    put(log, name="later")
    put(log, name="lost", text=2 * LARGE)
    sink.released.release(2)
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["large-0", "large-0", "later-0"]
    assert metrics.rows == {"written": 3, "dropped": 2}


def test_a_failing_sink_costs_counted_rows_and_one_line(metrics, capfd):
    log = PredictionLog(FailingSink(), metrics)
    put(log, time=NEW_YEAR - 1)
    put(log, 2)
    log.close(PATIENCE)
    assert metrics.rows == {"written": 0, "dropped": 3}
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "serving: the prediction log loses rows: OSError the disk is full"


def test_a_sink_that_recovers_gets_the_next_rows(metrics, capfd):
    class RecoveringSink(MemorySink):
        def write(self, name, content):
            if "2025" in name:
                raise ConnectionError("away")
            super().write(name, content)

    sink = RecoveringSink()
    log = PredictionLog(sink, metrics)
    put(log, time=NEW_YEAR - 1)
    put(log, name="later")
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["later-0"]
    assert metrics.rows == {"written": 1, "dropped": 1}
    assert "ConnectionError away" in capfd.readouterr().err


def test_a_failed_write_frees_the_queue(metrics, capfd):
    class BlockedFailingSink(BlockedSink):
        def write(self, name, content):
            super().write(name, content)
            raise OSError("away")

    sink = BlockedFailingSink()
    log = PredictionLog(sink, metrics, queue_rows=2)
    put(log, time=NEW_YEAR - 1)
    put(log)
    log._wake.set()
    sink.released.release()
    for _ in range(2):  # with the second file begun the first is lost
        assert sink.started.acquire(timeout=PATIENCE)
    put(log, name="later")
    assert metrics.rows["dropped"] == 1
    sink.released.release(2)
    log.close(PATIENCE)
    assert metrics.rows == {"written": 0, "dropped": 3} and len(sink.rows()) == 3
