"""The prediction log: a row for each prediction, in Parquet files partitioned by date (`date=2026-03-31/....parquet`).

Predictions only put their row into a bounded queue; a thread of its own writes. A full queue or a dead sink costs rows,
which are counted, and never a prediction.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from serving.parquet import Column, file
from serving.rows import Columns
from serving.signature import Field, Signature
from serving.sink import Sink

FLUSH_ROWS = 5_000
FLUSH_BYTES = 10_000_000
FLUSH_SECONDS = 5.0
QUEUE_ROWS = 50_000
QUEUE_BYTES = 50_000_000
_EXACT = 2**53  # whole numbers that a double holds
_COMPLAIN_SECONDS = 60.0
_DAY = 86_400


class Counts(Protocol):
    """What is told of rows."""

    def written(self, rows: int) -> None:
        """Rows came into the sink."""

    def dropped(self, rows: int) -> None:
        """Rows were lost."""


@dataclass(frozen=True)
class Entry:
    """Predictions of one request.

    Attributes:
        time: seconds since 1970.
        ids: request ids, one a row.
        columns: encoded inputs, shape (fields, rows).
        size: bytes of the request, which its texts cannot exceed.
    """

    time: float
    ids: Sequence[str]
    columns: Columns
    scores: Sequence[float]
    latency_ms: float
    size: int


class Log:
    """The queue and the thread behind it."""

    def __init__(
        self,
        sink: Sink,
        layout: Layout,
        counts: Counts,
        queue_rows: int = QUEUE_ROWS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._sink = sink
        self._layout = layout
        self._counts = counts
        self._most_rows = queue_rows
        self._most_bytes = queue_bytes
        self._queue: deque[Entry] = deque()
        # Each is changed by one thread alone, until the end.
        self._put_rows = self._put_bytes = 0
        self._taken_rows = self._taken_bytes = 0
        self._wake = threading.Event()
        self._closing = False
        self._gave_up = False
        self._counting = threading.Lock()
        self._silent_until = 0.0
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._files = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue rows, or drop them where the queue is full or closed. Only one thread may be here at a time."""
        rows = len(entry.ids)
        waiting_rows = self._put_rows - self._taken_rows + rows
        waiting_bytes = self._put_bytes - self._taken_bytes + entry.size
        if waiting_rows > self._most_rows or waiting_bytes > self._most_bytes or self._closing:
            self._counts.dropped(rows)
            return
        self._queue.append(entry)
        self._put_rows += rows
        self._put_bytes += entry.size
        if waiting_rows >= FLUSH_ROWS or waiting_bytes >= FLUSH_BYTES:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Write what waits, for so long at most; what is not written by then counts as lost."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        with self._counting:
            self._gave_up = True
            lost = self._put_rows - self._taken_rows
            self._taken_rows += lost
        if lost:
            self._counts.dropped(lost)
            _say(f"{lost} were not written within {seconds:g} s")

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while entries := self._next():
            fault = self._write(entries)
            rows = sum(len(entry.ids) for entry in entries)
            with self._counting:
                if self._gave_up:
                    return
                self._taken_rows += rows
                self._taken_bytes += sum(entry.size for entry in entries)
            if fault is None:
                self._counts.written(rows)
            else:
                self._counts.dropped(rows)
                self._complain(fault)

    def _next(self) -> list[Entry]:
        """What goes into the next file: entries of one day; none where nothing waits, or nobody waits for it."""
        entries: list[Entry] = []
        rows = size = 0
        while self._queue and rows < FLUSH_ROWS and size < FLUSH_BYTES and not self._gave_up:
            if entries and self._queue[0].time // _DAY != entries[0].time // _DAY:
                break
            entries.append(self._queue.popleft())
            rows += len(entries[-1].ids)
            size += entries[-1].size
        return entries

    def _write(self, entries: Sequence[Entry]) -> Exception | None:
        begun = entries[0].time
        self._files += 1
        name = f"date={_day(begun)}/{_clock(begun)}-{self._name}-{self._files:06d}.parquet"
        try:
            self._sink.write(name, file(self._layout.columns(entries)))
        except Exception as error:  # whatever a sink may raise, predictions go on
            return error
        return None

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _COMPLAIN_SECONDS
            _say(f"{type(error).__name__} {' '.join(str(error).split())[:300]}")


def _say(reason: str) -> None:
    with suppress(OSError, ValueError):  # stderr may stand on the same full disk, or be closed
        print(f"serving: the prediction log loses rows: {reason}", file=sys.stderr, flush=True)


class Layout:
    """The columns of the log for one signature and release."""

    def __init__(self, signature: Signature, release: str, role: str, salt: str | None) -> None:
        """Sensitive inputs are hashed with `salt` as the key; the line's name is the key where there is none."""
        self._signature = signature
        self._release = release
        self._role = role
        self._key = (salt or signature.line).encode()

    def columns(self, entries: Sequence[Entry]) -> list[Column]:
        """The columns of a file."""
        rows = [len(entry.ids) for entry in entries]
        times = [int(entry.time * 1e6) for entry in entries]
        latencies = [entry.latency_ms for entry in entries]
        scores = [score for entry in entries for score in entry.scores]
        total = len(scores)
        head = [
            Column("time", "time", _repeated(times, rows)),
            Column("request_id", "text", [name for entry in entries for name in entry.ids]),
            Column("release", "text", [self._release] * total),
            Column("role", "text", [self._role] * total),
        ]
        threshold = self._signature.threshold
        tail = [Column("value" if threshold is None else "probability", "number", scores)]
        if threshold is not None:
            tail.append(Column("decision", "boolean", [score >= threshold for score in scores]))
        tail.append(Column("latency_ms", "number", _repeated(latencies, rows)))
        taken = {column.name for column in head + tail}
        names = taken | {field.name for field in self._signature.fields}
        inputs = []
        for i, field in enumerate(self._signature.fields):
            values = [value for entry in entries for value in entry.columns[i]]
            name = field.name
            if name in taken:
                while name in names:
                    name = f"input_{name}"
            inputs.append(self._input(name, field, values))
        return head + inputs + tail

    def _input(self, name: str, field: Field, values: list[Any]) -> Column:
        if field.sensitive:
            hashed = {value: self._hash(field, value) for value in set(values)}
            return Column(name, "text", [hashed[value] for value in values])
        if field.type == "category":
            return Column(name, "text", [value or None for value in values])
        if field.type == "timestamp":
            return Column(name, "time", [value * 1_000_000 for value in values])
        # Missing is NaN, which alone is not equal to itself.
        if field.type == "boolean":
            return Column(name, "boolean", [bool(value) if value == value else None for value in values])
        if field.type == "integer" and all(
            limit is not None and abs(limit) <= _EXACT for limit in (field.min, field.max)
        ):
            return Column(name, "integer", [int(value) if value == value else None for value in values])
        return Column(name, "number", [value if value == value else None for value in values])

    def _hash(self, field: Field, value: Any) -> str | None:
        """SHA-256 of the text of a value, keyed; the same value has the same hash in every row and release."""
        if value == "" or value != value:
            return None
        text = value if field.type == "category" else repr(float(value) + 0.0)  # -0.0 is 0.0
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def _repeated(values: Sequence[Any], times: Sequence[int]) -> list[Any]:
    return [value for value, count in zip(values, times, strict=True) for _ in range(count)]


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H%M%S")
