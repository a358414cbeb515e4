"""A prediction log for tests, with the columns that the service writes: lines of JSON, or the Parquet of before."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.signature import Input, Signature

RELEASE = "0123456789ab"
MONDAY = datetime(2026, 3, 2)
SIGNATURE = Signature(
    model_name="fraud",
    task="classification",
    target="is_fraud",
    inputs=(
        Input("amount", "number", min=0, max=1000),
        Input("items", "integer", nullable=True, min=0, max=50),
        Input("channel", "category", allowed=("chip", "online", "stripe")),
        Input("new", "boolean", nullable=True),
        Input("at", "timestamp"),
        Input("age", "category", sensitive=True),
    ),
    output="probability",
    candidate="boosting",
    classes=("0", "1"),
    threshold=0.5,
)


def log_table(
    rows: int, day: datetime = MONDAY, seed: int = 0, release: str = RELEASE, prefix: str | None = None, **columns: Any
) -> pa.Table:
    """Rows spread over a day, of the model of SIGNATURE; `columns` replaces some."""
    generator = np.random.default_rng(seed)
    times = [day + timedelta(seconds=86_400 * (i + 0.5) / rows) for i in range(rows)]
    score = generator.beta(1, 8, rows)
    made: dict[str, Any] = {
        "time": pa.array(times, pa.timestamp("us")),
        "request_id": [f"{prefix or f'{day:%m%d}-{seed}'}-{i}" for i in range(rows)],
        "release": [release] * rows,
        "role": ["champion"] * rows,
        "amount": generator.lognormal(3, 1, rows).clip(0, 1000).round(2),
        "items": pa.array(generator.integers(1, 9, rows), pa.int64(), mask=generator.random(rows) < 0.1),
        "channel": generator.choice(["chip", "online", "stripe"], rows, p=[0.5, 0.3, 0.2]),
        "new": pa.array(generator.random(rows) < 0.2, mask=generator.random(rows) < 0.05),
        "at": pa.array(times, pa.timestamp("us")),
        "age": ["f00d"] * rows,
        "probability": score,
        "decision": score >= 0.5,
        "latency_ms": generator.gamma(2, 1, rows),
    }
    return pa.table(made | columns)


def write_log(log: Path, table: pa.Table, day: datetime = MONDAY, name: str = "part") -> Path:
    """Write a file of the log."""
    path = log / f"date={day:%Y-%m-%d}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def go_on(log: Path, day: datetime) -> None:
    """Begin another date, as the service does with the first request: it shows that the days before are over."""
    (log / f"date={day:%Y-%m-%d}").mkdir(parents=True, exist_ok=True)


def write_lines(log: Path, table: pa.Table, day: datetime = MONDAY, name: str = "part") -> Path:
    """Write a file of the log as the service does: gzipped lines of JSON, times as seconds since 1970."""

    def plain(value: Any) -> Any:
        return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else value

    path = log / f"date={day:%Y-%m-%d}" / f"{name}.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{key: plain(value) for key, value in row.items()} for row in table.to_pylist()]
    path.write_bytes(gzip.compress("".join(f"{json.dumps({'key_name': None, **row})}\n" for row in rows).encode()))
    return path
