"""The prediction log: what is in its files, and what a slow or dead sink costs."""

import hmac
import io
import json
import threading
from dataclasses import replace

import duckdb
import pyarrow.parquet as pq
import pytest

from serving import log as log_of
from serving import parquet, signature
from serving.log import Entry, Layout, Log
from serving.model import Model
from serving.parquet import file
from serving.rows import Rows
from serving.sink import Folder
from tests.engine.serving import samples
from tests.engine.serving.samples import GOOD, Counted

NEW_YEAR = 1_767_225_600.0  # 2026-01-01 in UTC
PATIENCE = 30.0  # seconds after which a test gives up on the thread


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.files = {}

    def write(self, name, content):
        self.files[name] = content

    def rows(self):
        return [row for content in self.files.values() for row in read(content)]


class Dead:
    """A sink that takes nothing."""

    def write(self, name, content):
        raise OSError("the disk\nis full")


class Gate(Kept):
    """A sink whose writes wait until they are let through, one by one."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def write(self, name, content):
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        super().write(name, content)


def read(content):
    return pq.read_table(io.BytesIO(content)).to_pylist()


@pytest.fixture(scope="module")
def of(logistic):
    return Model(logistic.model.parent).signature


@pytest.fixture
def counts():
    return Counted()


def layout(of, salt="pepper", role="champion"):
    return Layout(of, "0123456789ab", role, salt)


def entry(of, *rows, time=NEW_YEAR, name="r", score=0.75):
    raw = json.dumps(rows).encode()
    count, columns = Rows(of, 100_000).many(raw)
    return Entry(time, [f"{name}-{i}" for i in range(count)], columns, [score] * count, 1.5, len(raw))


def table(of, *entries, **options):
    return read(file(layout(of, **options).columns(entries)))


# What a row holds.


def test_a_row_holds_the_request_the_release_the_inputs_the_answer_and_the_latency(of):
    at = NEW_YEAR + 0.25
    (row,) = table(of, entry(of, GOOD, time=at, name="abc"))
    assert row.pop("region") == hmac.digest(b"pepper", b"north", "sha256").hex()
    assert str(row.pop("time")) == "2026-01-01 00:00:00.250000+00:00"
    assert str(row.pop("ordered_at")) == "2026-02-03 04:05:06+00:00"
    assert row == {
        "request_id": "abc-0",
        "release": "0123456789ab",
        "role": "champion",
        "price": 12.5,
        "usual_price": None,
        "items": 3,
        "size": "S",
        "usual_size": "M",
        "shop": "web",
        "gift": True,
        "probability": 0.75,
        "decision": True,
        "latency_ms": 1.5,
    }


def test_what_is_missing_is_null(of):
    empty = {**GOOD, "shop": "", "usual_size": None}
    del empty["gift"]
    row = table(of, entry(of, empty))[0]
    assert {name for name, value in row.items() if value is None} == {"usual_price", "usual_size", "shop", "gift"}


def test_the_decision_is_that_of_the_answer(of):
    assert of.threshold == 0.5
    for score, decision in ((0.5, True), (0.4999999, False)):
        assert table(of, entry(of, GOOD, score=score))[0]["decision"] is decision


def test_entries_of_one_file_keep_their_rows_apart(of):
    first = entry(of, GOOD, {**GOOD, "price": 1}, name="a", score=0.1)
    second = replace(entry(of, {**GOOD, "price": 2}, name="b", time=NEW_YEAR + 1, score=0.9), latency_ms=7.0)
    rows = table(of, first, second)
    assert [(row["request_id"], row["price"], row["probability"], row["latency_ms"]) for row in rows] == [
        ("a-0", 12.5, 0.1, 1.5),
        ("a-1", 1.0, 0.1, 1.5),
        ("b-0", 2.0, 0.9, 7.0),
    ]
    assert [row["time"].second for row in rows] == [0, 0, 1]


def test_a_regression_has_a_value_and_no_decision(regression):
    of = signature.load(regression.signature)
    (row,) = table(of, entry(of, GOOD, score=-12.5))
    assert row["value"] == -12.5
    assert not {"probability", "decision"} & row.keys()


def test_an_input_named_as_a_column_of_the_log_gets_another_name(of, tmp_path):
    names = ["time", "input_time", "role", "price"]
    inputs = [{"name": name, "type": "number", "nullable": True} for name in names]
    odd = samples.of({**of.document, "inputs": inputs}, tmp_path)
    (row,) = table(odd, entry(odd, {name: i for i, name in enumerate(names)}))
    taken = {"time", "request_id", "release", "role", "probability", "decision", "latency_ms"}
    assert len(row) == len(taken) + len(names)
    assert row["input_role"] == 2.0 and row["price"] == 3.0 and row["role"] == "champion"
    assert row["input_time"] == 1.0 and row["input_input_time"] == 0.0


def test_whole_numbers_are_logged_exactly_where_their_range_is_exact(of, tmp_path):
    inputs = [
        {"name": "small", "type": "integer", "min": 0, "max": 2**53},
        {"name": "open", "type": "integer", "min": 0},
    ]
    odd = samples.of({**of.document, "inputs": inputs}, tmp_path)
    (row,) = table(odd, entry(odd, {"small": 2**53, "open": 5}))
    assert repr((row["small"], row["open"])) == repr((2**53, 5.0))


# Sensitive inputs.


@pytest.fixture
def hashed(of, tmp_path):
    """A function that gives the hashes of values of a sensitive input."""

    def hashes(*values, **field):
        inputs = [{"name": "secret", "nullable": True, "sensitive": True, **field}]
        odd = samples.of({**of.document, "inputs": inputs}, tmp_path)
        return [row["secret"] for row in table(odd, entry(odd, *({"secret": value} for value in values)))]

    return hashes


def test_a_sensitive_input_is_hashed_with_the_salt_and_equal_values_stay_equal(of):
    north, south, again = (
        row["region"] for row in table(of, entry(of, GOOD, {**GOOD, "region": "south"}), entry(of, GOOD))
    )
    assert north == again != south
    other = table(of, entry(of, GOOD), salt="salt")[0]["region"]
    bare = table(of, entry(of, GOOD), salt=None)[0]["region"]
    assert len({north, south, other, bare}) == 4
    assert bare == hmac.digest(b"orders", b"north", "sha256").hex()


def test_no_file_holds_a_sensitive_value(of):
    content = file(layout(of).columns([entry(of, GOOD)]))
    assert "north" not in str(read(content)) and b"north" not in content


@pytest.mark.parametrize("kind", ["number", "integer", "boolean", "category"])
def test_a_sensitive_value_that_is_missing_is_null(hashed, kind):
    assert hashed(None, type=kind) == hashed("", type=kind) == [None]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [1, 1.0, 10e-1]),
        ("number", [0, 0.0, -0.0]),
        ("integer", [-0.0, 0]),
        ("boolean", [True, 1, 1.0]),
        ("timestamp", ["2026-01-01", NEW_YEAR, "2026-01-01T01:00+01:00"]),
    ],
)
def test_the_same_value_has_the_same_hash_in_every_file(hashed, kind, values):
    nullable = kind != "timestamp"
    alone = [hashed(value, type=kind, nullable=nullable) for value in values]
    assert alone[0] != [None] and alone == [alone[0]] * len(values)


# Files.


def test_files_are_partitioned_by_the_day_of_the_prediction_in_utc(of, counts, tmp_path):
    log = Log(Folder(tmp_path), layout(of), counts)
    log.put(entry(of, GOOD, time=NEW_YEAR - 0.001, name="a"))
    log.put(entry(of, GOOD, GOOD, time=NEW_YEAR, name="b"))
    log.close(PATIENCE)
    assert counts.rows == {"written": 3, "dropped": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["date=2025-12-31", "date=2026-01-01"]
    # What a consumer of the log asks, with the partitions as a column.
    found = duckdb.sql(
        "SELECT date, list(request_id ORDER BY request_id), bool_and(CAST(time AS DATE) = date)"
        f" FROM read_parquet('{tmp_path}/*/*.parquet', hive_partitioning=true) GROUP BY date ORDER BY date"
    ).fetchall()
    assert [(str(day), ids, fits) for day, ids, fits in found] == [
        ("2025-12-31", ["a-0"], True),
        ("2026-01-01", ["b-0", "b-1"], True),
    ]


def test_two_processes_never_write_one_name(of, counts):
    sink = Kept()
    for _ in range(2):
        log = Log(sink, layout(of), counts)
        log.put(entry(of, GOOD))
        log.close(PATIENCE)
    assert len(sink.files) == 2


def test_a_file_is_written_as_soon_as_there_are_rows_enough(of, counts, monkeypatch):
    monkeypatch.setattr(log_of, "FLUSH_ROWS", 3)
    monkeypatch.setattr(log_of, "FLUSH_SECONDS", PATIENCE)
    sink = Gate()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD, GOOD, GOOD))
    assert sink.begun.acquire(timeout=PATIENCE / 2)
    sink.let.release()
    log.close(PATIENCE)
    assert counts.rows["written"] == 3


def test_rows_that_wait_are_cut_into_files(of, counts, monkeypatch):
    sink = Gate()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1))
    monkeypatch.setattr(log_of, "FLUSH_ROWS", 2)
    for _ in range(5):
        log.put(entry(of, GOOD))
    sink.let.release(4)
    log.close(PATIENCE)
    assert [len(read(content)) for content in sink.files.values()] == [1, 2, 2, 1]


def test_a_file_is_written_as_soon_as_there_are_bytes_enough(of, counts, monkeypatch):
    large = entry(of, {**GOOD, "shop": "x" * 10_000})
    monkeypatch.setattr(log_of, "FLUSH_BYTES", 2 * large.size)
    monkeypatch.setattr(log_of, "FLUSH_SECONDS", PATIENCE)
    sink = Gate()
    log = Log(sink, layout(of), counts)
    for _ in range(2):
        log.put(large)
    assert sink.begun.acquire(timeout=PATIENCE / 2)
    sink.let.release()
    log.close(PATIENCE)
    assert counts.rows["written"] == 2


def test_large_rows_that_wait_are_cut_into_files(of, counts, monkeypatch):
    sink = Gate()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1))
    large = entry(of, {**GOOD, "shop": "x" * 10_000})
    monkeypatch.setattr(log_of, "FLUSH_BYTES", 2 * large.size)
    for _ in range(5):
        log.put(large)
    sink.let.release(4)
    log.close(PATIENCE)
    assert [len(read(content)) for content in sink.files.values()] == [1, 2, 2, 1]


def test_few_rows_are_written_after_a_while(of, counts, monkeypatch):
    monkeypatch.setattr(log_of, "FLUSH_SECONDS", 0.01)
    sink = Gate()
    sink.let.release()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD))
    assert sink.begun.acquire(timeout=PATIENCE)
    log.close(PATIENCE)
    assert len(sink.rows()) == 1


def test_closing_writes_what_waits(of, counts):
    sink = Kept()
    log = Log(sink, layout(of), counts)
    for i in range(10):
        log.put(entry(of, GOOD, name=str(i)))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == [f"{i}-0" for i in range(10)]
    assert counts.rows == {"written": 10, "dropped": 0}


def test_closing_does_not_wait_for_a_sink_that_hangs_and_tells_how_many_rows_are_lost(of, counts, capfd):
    sink = Gate()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1))
    log.put(entry(of, GOOD, GOOD))
    log.close(0.01)
    assert counts.rows == {"written": 0, "dropped": 3}
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "serving: the prediction log loses rows: 3 were not written within 0.01 s"
    # What comes of it after all is not counted again.
    sink.let.release(2)
    log._thread.join(PATIENCE)
    assert not log._thread.is_alive()
    assert counts.rows == {"written": 0, "dropped": 3}
    assert len(sink.files) <= 1


def test_rows_that_come_after_the_end_are_counted_as_lost(of, counts):
    sink = Kept()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD))
    log.close(PATIENCE)
    log.put(entry(of, GOOD, GOOD))
    assert counts.rows == {"written": 1, "dropped": 2}


# What goes wrong.


def test_a_full_queue_drops_rows_and_counts_them_and_takes_rows_again_when_it_has_room(of, counts):
    sink = Gate()
    log = Log(sink, layout(of), counts, queue_rows=3)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1, name="a"))
    log.put(entry(of, GOOD, GOOD, name="b"))
    log.put(entry(of, GOOD, name="lost"))
    log.put(entry(of, GOOD, GOOD, GOOD, GOOD, name="too-large"))
    assert counts.rows["dropped"] == 5
    log._wake.set()  # the day before goes into a file of its own
    assert sink.begun.acquire(timeout=PATIENCE)
    sink.let.release()
    assert sink.begun.acquire(timeout=PATIENCE)  # so that one row is written now
    log.put(entry(of, GOOD, name="c"))
    log.put(entry(of, GOOD, name="lost"))
    sink.let.release(2)
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["a-0", "b-0", "b-1", "c-0"]
    assert counts.rows == {"written": 4, "dropped": 6}


def test_a_queue_full_of_bytes_drops_rows_and_counts_them_and_takes_rows_again_when_it_has_room(of, counts):
    large = entry(of, {**GOOD, "shop": "x" * 10_000}, name="large")
    sink = Gate()
    log = Log(sink, layout(of), counts, queue_bytes=2 * large.size)
    log.put(replace(large, time=NEW_YEAR - 1))
    log.put(large)
    log.put(entry(of, GOOD, name="lost"))
    assert counts.rows["dropped"] == 1
    log._wake.set()  # the day before goes into a file of its own
    assert sink.begun.acquire(timeout=PATIENCE)
    sink.let.release()
    assert sink.begun.acquire(timeout=PATIENCE)  # so that one row is written now
    log.put(entry(of, GOOD, name="later"))
    log.put(entry(of, {**GOOD, "shop": "x" * 20_000}, name="lost"))
    sink.let.release(2)
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["large-0", "large-0", "later-0"]
    assert counts.rows == {"written": 3, "dropped": 2}


def test_rows_too_large_for_a_file_are_dropped_and_the_next_ones_written(of, counts, monkeypatch, capfd):
    monkeypatch.setattr(parquet, "_MOST_BYTES", 5_000)
    sink = Kept()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, {**GOOD, "shop": "x" * 5_000}, time=NEW_YEAR - 1))
    log.put(entry(of, GOOD, name="later"))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["later-0"]
    assert counts.rows == {"written": 1, "dropped": 1}
    assert "ValueError shop has 5010 bytes; a file takes 5000 of a column" in capfd.readouterr().err


def test_a_dead_sink_costs_rows_that_are_counted_and_one_line_and_nothing_else(of, counts, capfd):
    log = Log(Dead(), layout(of), counts)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1))
    log.put(entry(of, GOOD, GOOD))
    log.close(PATIENCE)
    assert counts.rows == {"written": 0, "dropped": 3}
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "serving: the prediction log loses rows: OSError the disk is full"


def test_a_sink_that_comes_back_gets_the_rows_that_come_then(of, counts, capfd):
    class Ill(Kept):
        def write(self, name, content):
            if "2025" in name:
                raise ConnectionError("away")
            super().write(name, content)

    sink = Ill()
    log = Log(sink, layout(of), counts)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1))
    log.put(entry(of, GOOD, name="later"))
    log.close(PATIENCE)
    assert [row["request_id"] for row in sink.rows()] == ["later-0"]
    assert counts.rows == {"written": 1, "dropped": 1}
    assert "ConnectionError away" in capfd.readouterr().err


def test_a_dead_sink_frees_the_queue(of, counts, capfd):
    class Dying(Gate):
        def write(self, name, content):
            super().write(name, content)
            raise OSError("away")

    sink = Dying()
    log = Log(sink, layout(of), counts, queue_rows=2)
    log.put(entry(of, GOOD, time=NEW_YEAR - 1))
    log.put(entry(of, GOOD))
    log._wake.set()
    sink.let.release()
    for _ in range(2):  # with the second file begun the first is lost
        assert sink.begun.acquire(timeout=PATIENCE)
    log.put(entry(of, GOOD, name="later"))
    assert counts.rows["dropped"] == 1
    sink.let.release(2)
    log.close(PATIENCE)
    assert counts.rows == {"written": 0, "dropped": 3} and len(sink.rows()) == 3
