"""The prediction log: a row for each prediction, in Parquet files by date (`date=2026-03-31/....parquet`).

A prediction only puts its rows into a bounded queue; a thread writes them. A full queue or a failing sink costs rows,
which are counted, and never a prediction.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from serving import parquet
from serving.log_columns import Entry, LogColumns
from serving.metrics import Metrics
from serving.sinks import Bucket, Folder

FLUSH_ROWS = 5_000
FLUSH_BYTES = 10_000_000
FLUSH_SECONDS = 5.0
QUEUE_ROWS = 50_000
QUEUE_BYTES = 50_000_000
_WARN_SECONDS = 60.0  # between two lines about lost rows
_DAY = 86_400


class PredictionLog:
    """The queue, and the thread that writes it."""

    def __init__(
        self,
        sink: Folder | Bucket,
        columns: LogColumns,
        metrics: Metrics,
        queue_rows: int = QUEUE_ROWS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._sink = sink
        self._columns = columns
        self._metrics = metrics
        self._max_rows = queue_rows
        self._max_bytes = queue_bytes
        self._queue: deque[Entry] = deque()
        # `put` changes the first two, the thread the other two, so that `put` needs no lock.
        self._put_rows = self._put_bytes = 0
        self._taken_rows = self._taken_bytes = 0
        self._wake = threading.Event()
        self._closing = False
        self._abandoned = False
        self._lock = threading.Lock()
        self._no_warning_until = 0.0
        self._process = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._files = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue rows, or drop them if the queue is full or closed. Not thread-safe."""
        rows = len(entry.ids)
        waiting_rows = self._put_rows - self._taken_rows + rows
        waiting_bytes = self._put_bytes - self._taken_bytes + entry.size
        if waiting_rows > self._max_rows or waiting_bytes > self._max_bytes or self._closing:
            self._metrics.count_dropped_rows(rows)
            return
        self._queue.append(entry)
        self._put_rows += rows
        self._put_bytes += entry.size
        if waiting_rows >= FLUSH_ROWS or waiting_bytes >= FLUSH_BYTES:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Write the queue. Rows that are not written within `seconds` are dropped."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        with self._lock:
            self._abandoned = True
            rows = self._put_rows - self._taken_rows
            self._taken_rows += rows
        if rows:
            self._metrics.count_dropped_rows(rows)
            _warn(f"{rows} were not written within {seconds:g} s")

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while entries := self._take_file():
            error = self._write(entries)
            rows = sum(len(entry.ids) for entry in entries)
            with self._lock:
                if self._abandoned:
                    return
                self._taken_rows += rows
                self._taken_bytes += sum(entry.size for entry in entries)
            if error is None:
                self._metrics.count_written_rows(rows)
                continue
            self._metrics.count_dropped_rows(rows)
            if time.monotonic() >= self._no_warning_until:
                self._no_warning_until = time.monotonic() + _WARN_SECONDS
                _warn(f"{type(error).__name__} {' '.join(str(error).split())[:300]}")

    def _take_file(self) -> list[Entry]:
        """Remove the entries of the next file from the queue, all of one day."""
        entries: list[Entry] = []
        rows = size = 0
        while self._queue and rows < FLUSH_ROWS and size < FLUSH_BYTES and not self._abandoned:
            if entries and self._queue[0].time // _DAY != entries[0].time // _DAY:
                break
            entries.append(self._queue.popleft())
            rows += len(entries[-1].ids)
            size += entries[-1].size
        return entries

    def _write(self, entries: Sequence[Entry]) -> Exception | None:
        self._files += 1
        first = datetime.fromtimestamp(entries[0].time, UTC)
        name = f"date={first:%Y-%m-%d}/{first:%H%M%S}-{self._process}-{self._files:06d}.parquet"
        try:
            self._sink.write(name, parquet.encode(self._columns.make(entries)))
        except Exception as error:  # no exception of a sink may end the thread
            return error
        return None


def _warn(reason: str) -> None:
    with suppress(OSError, ValueError):  # stderr may be on the same full disk, or closed
        print(f"serving: the prediction log loses rows: {reason}", file=sys.stderr, flush=True)
