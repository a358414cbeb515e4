"""The prediction log: a row for each prediction, in gzipped lines of JSON by date (`date=2026-03-31/....jsonl.gz`).

A prediction only puts its lines into a bounded queue; a thread compresses and writes them, and does both without the
interpreter's lock. A full queue or a failing sink costs rows, which are counted, and never a prediction.
"""

import gzip
import os
import secrets
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from serving.metrics import Metrics
from serving.sinks import Bucket, Folder

FLUSH_ROWS = 5_000
FLUSH_BYTES = 10_000_000
FLUSH_SECONDS = 5.0
QUEUE_ROWS = 50_000
QUEUE_BYTES = 50_000_000
_WARN_SECONDS = 60.0  # between two lines about lost rows
_DAY = 86_400


@dataclass
class _File:
    """The content of a file, of one day."""

    time: float
    parts: list[bytes] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def takes(self, time: float) -> bool:
        return self.rows < FLUSH_ROWS and self.size < FLUSH_BYTES and self.time // _DAY == time // _DAY


class PredictionLog:
    """The queue, and the thread that writes it."""

    def __init__(
        self,
        sink: Folder | Bucket,
        metrics: Metrics,
        queue_rows: int = QUEUE_ROWS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._sink = sink
        self._metrics = metrics
        self._max_rows = queue_rows
        self._max_bytes = queue_bytes
        self._lock = threading.Lock()  # of the next four
        self._files: deque[_File] = deque()
        self._rows = self._size = 0  # of the files, and of the one that is being written
        self._abandoned = False
        self._wake = threading.Event()
        self._closing = False
        self._no_warning_until = 0.0
        self._process = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._written = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def put(self, time: float, rows: int, lines: bytes) -> None:
        """Queue the lines of a request, or drop them if the queue is full or closed."""
        with self._lock:
            total_rows, total_size = self._rows + rows, self._size + len(lines)
            is_full = total_rows > self._max_rows or total_size > self._max_bytes or self._closing
            if not is_full:
                self._rows, self._size = total_rows, total_size
                if not self._files or not self._files[-1].takes(time):
                    self._files.append(_File(time))
                file = self._files[-1]
                file.parts.append(lines)
                file.rows += rows
                file.size += len(lines)
        if is_full:
            self._metrics.count_dropped_rows(rows)
        elif file.rows >= FLUSH_ROWS or file.size >= FLUSH_BYTES:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Write the queue. Rows that are not written within `seconds` are dropped."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        with self._lock:
            self._abandoned = True
            rows, self._rows = self._rows, 0
            self._files.clear()
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
        while (file := self._take_file()) is not None:
            error = self._write(file)
            with self._lock:
                if self._abandoned:
                    return
                self._rows -= file.rows
                self._size -= file.size
            if error is None:
                self._metrics.count_written_rows(file.rows)
                continue
            self._metrics.count_dropped_rows(file.rows)
            if time.monotonic() >= self._no_warning_until:
                self._no_warning_until = time.monotonic() + _WARN_SECONDS
                _warn(f"{type(error).__name__} {' '.join(str(error).split())[:300]}")

    def _take_file(self) -> _File | None:
        with self._lock:
            return self._files.popleft() if self._files else None

    def _write(self, file: _File) -> Exception | None:
        self._written += 1
        first = datetime.fromtimestamp(file.time, UTC)
        name = f"date={first:%Y-%m-%d}/{first:%H%M%S}-{self._process}-{self._written:06d}.jsonl.gz"
        try:
            self._sink.write(name, gzip.compress(b"".join(file.parts), 1, mtime=0))
        except Exception as error:  # no exception of a sink may end the thread
            return error
        return None


def _warn(reason: str) -> None:
    with suppress(OSError, ValueError):  # stderr may be on the same full disk, or closed
        print(f"serving: the prediction log loses rows: {reason}", file=sys.stderr, flush=True)
