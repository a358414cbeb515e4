"""What the tests of the prediction log share."""

import json
from typing import Any

from serving.log_rows import LogRows
from serving.rows import RowReader
from serving.signature import Signature

NEW_YEAR = 1_767_225_600.0  # 2026-01-01 in UTC


def encoded(
    signature: Signature,
    *rows: Any,
    time: float = NEW_YEAR,
    name: str = "r",
    score: float = 0.75,
    latency_ms: float = 1.5,
    salt: str | None = "pepper",
    key_name: str | None = None,
) -> bytes:
    """Return the lines of the log for these rows, with the ids `name`-0, `name`-1, ..., of release 0123456789ab."""
    count, columns = RowReader(signature, 100_000).read_batch(json.dumps(rows).encode())
    ids = [f"{name}-{i}" for i in range(count)]
    lines = LogRows(signature, "0123456789ab", "champion", salt)
    return lines.encode(time, ids, zip(*columns, strict=True), [score] * count, latency_ms, key_name)


def decoded(lines: bytes) -> list[dict[str, Any]]:
    """Return the rows of lines."""
    return [json.loads(line) for line in lines.decode().split("\n")[:-1]]


def logged(signature: Signature, *rows: Any, **options: Any) -> list[dict[str, Any]]:
    """Return what the log has for these rows."""
    return decoded(encoded(signature, *rows, **options))
