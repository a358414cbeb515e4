"""The newest logged requests, asked of a canary before it gets any: no user waits for these responses."""

import gzip
import json
import math
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from pipelines.predictions.log_schema import REPLAY
from pipelines.tables.locations import Location, parse_location, store_errors

SHOWN = 20
_SECONDS = 10.0
_FILES = 200  # read at most: a file has up to 5,000 rows, and on a quiet service a few
Row = dict[str, Any]


@dataclass(frozen=True)
class Replay:
    """What a canary answered.

    Attributes:
        rows: number of requests.
        errors: those without a score.
        slowest: 99th percentile of the seconds until a response, as this process measured it.
        flipped: decisions that differ from the logged ones; 0 for a regression.
        differences: the inputs, logged and new score of the rows that differ most.
    """

    rows: int
    errors: int
    slowest: float
    flipped: int
    differences: list[tuple[Row, float, float]]

    def to_markdown(self, version: str) -> str:
        """Return a page about the replay."""
        lines = [
            f"# Replay of {version}",
            "",
            f"{self.rows:,} logged requests: {self.errors:,} errors, 99th percentile {self.slowest * 1000:.0f} ms, "
            f"{self.flipped:,} decisions changed ({self.flipped / max(self.rows, 1):.2%}).",
            "",
            "The rows whose scores changed most:",
            "",
            "| logged | now | inputs |",
            "|---:|---:|---|",
        ]
        for row, before, after in self.differences:
            inputs = json.dumps(row, ensure_ascii=True).replace("|", "\\u007c").replace("`", "\\u0060")
            lines.append(f"| {before:.4f} | {after:.4f} | `{inputs}` |")
        return "\n".join(lines) + "\n"


def ask(url: str, signature: Row, logged: list[Row]) -> Replay:
    """Send rows of the prediction log, without hashed inputs, to the replica at `url`, one after the other."""
    session, seconds, errors, flipped = requests.Session(), [], 0, 0
    score = "probability" if signature["threshold"] is not None else "value"
    differences: list[tuple[Row, float, float]] = []
    for row in logged:
        inputs = {field["name"]: _raw(field, row.get(field["name"])) for field in signature["inputs"]}
        try:
            headers = {"X-Request-Id": f"{REPLAY}{secrets.token_hex(16)}"}
            response = session.post(f"{url}/predict", json=inputs, headers=headers, timeout=_SECONDS)
            answer = response.json() if response.ok else {}
            seconds.append(response.elapsed.total_seconds())
        except (requests.RequestException, ValueError):
            answer = {}
            seconds.append(_SECONDS)
        if score not in answer:
            errors += 1
            continue
        flipped += answer.get("decision") != row.get("decision") if "decision" in row else 0
        differences.append((inputs, float(row[score]), float(answer[score])))
    differences.sort(key=lambda item: -abs(item[1] - item[2]))
    seconds.sort()
    slowest = seconds[math.ceil(0.99 * len(seconds)) - 1] if seconds else 0.0
    return Replay(len(logged), errors, slowest, flipped, differences[:SHOWN])


def newest_rows(log: str, count: int) -> list[Row]:
    """Return the newest rows of a prediction log; fewer if its newest files have fewer."""
    location = parse_location(log, "PREDICTION_LOG")
    rows: list[Row] = []
    for name in _newest_files(location):
        with store_errors(location):
            content = location.filesystem.cat_file(name)
        try:
            lines = gzip.decompress(content).splitlines()
            parsed = [row for line in reversed(lines) if isinstance(row := json.loads(line), dict)]
        except (OSError, EOFError, zlib.error, ValueError):
            continue  # a damaged file
        rows += [row for row in parsed if not str(row.get("request_id")).startswith(REPLAY)]
        if len(rows) >= count:
            break
    return rows[:count]


def _newest_files(location: Location) -> Iterator[str]:
    with store_errors(location):
        location.filesystem.invalidate_cache()
        names = location.filesystem.glob(f"{location.path}/date=*/*.jsonl.gz")
    yield from sorted(names, reverse=True)[:_FILES]


def _raw(field: Row, value: Any) -> Any:
    """Return a request's value of a logged one: times are logged as seconds since 1970."""
    if field["type"] == "timestamp" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value
